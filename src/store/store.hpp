// Interface of store/: where shards live. Asynchronous range reads into the caller's memory, sizes,
// and the expansion of DATA into a list of shards.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "faro/config.hpp"
#include "faro/error.hpp"

namespace faro::store {

/// A run of bytes of an object.
struct ByteRange {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

/// What the store says of an object. The ETag is opaque; for files it is made of inode, size and
/// mtime in nanoseconds, so a replaced or rewritten file has another one.
struct ObjectInfo {
  std::uint64_t size = 0;
  std::string etag;
  std::optional<std::uint32_t> crc32c = {};  ///< of the whole object, where the store keeps one
};

/// What the ranks of a job tell each other of their store, so that one that throttles a rank is
/// spared by all: a mark that rises with every throttling. The exchange's rounds raise it to the
/// highest of all ranks. Thread safe.
class Pressure {
 public:
  [[nodiscard]] std::uint64_t mark() const noexcept {
    return mark_.load(std::memory_order_relaxed);
  }
  /// This rank was throttled; the mark that says so.
  std::uint64_t throttled() noexcept { return mark_.fetch_add(1, std::memory_order_relaxed) + 1; }
  /// Another rank's mark is `mark`.
  void raise_to(std::uint64_t mark) noexcept {
    auto here = mark_.load(std::memory_order_relaxed);
    while (here < mark && !mark_.compare_exchange_weak(here, mark, std::memory_order_relaxed)) {
    }
  }

 private:
  std::atomic<std::uint64_t> mark_ = 0;
};

/// How s3:// URIs become requests. What is empty comes from the environment and the files that
/// AWS's own tools read: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_REGION, AWS_PROFILE,
/// AWS_ACCESS_KEY_ID and its kin, ~/.aws/config and ~/.aws/credentials.
struct S3Options {
  std::string endpoint;        ///< "https://s3.centre.example:8080"
  std::string region;          ///< "eu-central-1"
  std::string profile;         ///< of the shared files
  std::string style = "auto";  ///< auto | path | virtual: where the bucket's name stands
  bool anonymous = false;      ///< requests are not signed
};

/// What requests go through; see transport.hpp.
class Transports;

/// How requests are made, and how often again.
struct Options {
  std::size_t max_requests = 128;   ///< in flight at most; how many are is found by measuring
  unsigned attempts = 10;           ///< tries of one request that is answered wrongly
  double stall_timeout = 30.0;      ///< seconds without a byte before an attempt is given up
  double low_speed = 1024.0;        ///< bytes/s; slower over stall_timeout is given up, too
  double connect_timeout = 10.0;    ///< seconds to connect
  double request_deadline = 600.0;  ///< seconds from a request's first try to the end of its last
  double outage_deadline = 120.0;   ///< seconds that the store may answer nothing before an error
  double backoff = 0.5;  ///< seconds; try n waits uniform(0, min(20, backoff * 2^n)): full jitter
  bool hedge = true;     ///< race a request that is slower than others of its size by a second one
  std::string ca_file;   ///< PEM bundle; empty: AWS_CA_BUNDLE for s3://, the system's
  S3Options s3;
  unsigned ranks = 1;                  ///< of the job, which share the budget of retries
  std::shared_ptr<Pressure> pressure;  ///< with the job's other ranks, where they exchange it
  /// Told, on the client's thread, that the store has been silent for some seconds and is waited
  /// for, and that it answers again.
  std::function<void(const std::string&)> notice;
  /// Called first by each thread that reads files: it would else be bound as the client's is.
  std::function<void()> reader_begins;
  std::shared_ptr<Transports> transports;  ///< others than those of real stores: a simulation's
};

/// The options that a configuration stands for.
[[nodiscard]] Options options_of(const Config& config);

/// A read of `range` of the object `uri` into `into` (range.length bytes, the caller's until the
/// completion arrives). Where `expect` is given, an object of another size or ETag is an error.
struct Request {
  std::uint64_t id = 0;  ///< the caller's, returned in the completion
  std::string uri;
  ByteRange range;
  std::byte* into = nullptr;
  std::optional<ObjectInfo> expect;
};

/// The end of one request: its error after the last attempt, or success.
struct Completion {
  std::uint64_t id = 0;
  std::optional<Error> error;
  ObjectInfo info;           ///< of the object, as far as the answer told; a read's size may be 0
  std::uint32_t crc32c = 0;  ///< of the bytes of a read, taken as they arrived
  std::string text;          ///< a call's answer
  unsigned attempts = 1;     ///< tries that it took
};

/// Why requests were sent again.
enum class RetryCause { connection, timeout, throttled, server_error, truncated, wrong, expired };
inline constexpr std::array retry_cause_names = {
    "connection", "timeout", "throttled", "server_error", "truncated", "wrong", "expired"};

/// What a client has done so far.
struct Counters {
  std::uint64_t requests = 0;      ///< attempts sent, sizes asked and hedges included
  std::uint64_t retries = 0;       ///< attempts beyond the first of a request, hedges left out
  std::uint64_t hedges = 0;        ///< second attempts that raced a slow one
  std::uint64_t hedges_won = 0;    ///< of them, those that came first
  std::uint64_t bytes = 0;         ///< body bytes received and used
  std::uint64_t wasted_bytes = 0;  ///< body bytes received for nothing
  std::array<std::uint64_t, retry_cause_names.size()> retries_by{};  ///< by RetryCause
};

/// A request of an S3 store beside reads: of listings and uploads.
struct Call {
  enum class Method { get, put, post, remove };
  Method method = Method::get;
  std::string uri;                                           ///< s3://bucket/key or s3://bucket
  std::vector<std::pair<std::string, std::string>> query;    ///< not yet encoded
  std::vector<std::pair<std::string, std::string>> headers;  ///< to be signed with the others
  std::span<const std::byte> body;                           ///< the caller's until the completion
  std::size_t largest_answer = 16U << 20;                    ///< bytes; a longer one is an error
};

/// A client of all stores: queues requests, holds at most max_requests in flight (hedges come on
/// top), retries.
/// Not thread safe but for wake(): one thread drives it. Destruction cancels what is in flight and
/// returns once no transfer writes into the callers' memory any more.
class Client {
 public:
  explicit Client(const Options& options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Queues a read. A range of length 0 completes without a request.
  void read(Request request);
  /// Queues a question for an object's size and ETag.
  void stat(std::uint64_t id, std::string uri);
  /// Queues a call; its completion has the body of the answer (an upload's: the ETag in info).
  void call(std::uint64_t id, Call call);
  /// The size of a part that a long read is best split into now, at most `largest`.
  /// \param room bytes that may be in flight at once
  [[nodiscard]] std::uint64_t part_size(std::uint64_t largest, std::uint64_t room) const;
  /// Drives the transfers; appends the completions and returns as soon as there is one, after
  /// `timeout`, after wake(), or at once where nothing is queued or in flight.
  void poll(std::vector<Completion>& done, std::chrono::milliseconds timeout);
  /// Makes a running or the next poll() return. May be called from any thread.
  void wake();
  /// The most requests that were allowed in flight so far: the level that was found.
  [[nodiscard]] std::size_t peak_requests() const noexcept;
  /// Requests queued or in flight.
  [[nodiscard]] std::size_t pending() const noexcept;
  [[nodiscard]] const Counters& counters() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The shards that DATA names, in order: a brace pattern (`{000..127}` keeps its zeros, `{a,b}`), a
/// directory or glob where the store lists (file:// and s3://, sorted, hidden files left out), one
/// shard, or
/// `@file` with one URI a line (`#` comments). Plain paths become absolute file:// URIs, in which
/// nothing is percent-encoded: what follows file:// is the path, byte by byte.
/// \param suffix of the files that a directory's listing takes (".tar"); empty: all
/// Errors: invalid_argument (pattern), not_found (directory without shards, no match, no list).
[[nodiscard]] std::vector<std::string> expand(const std::string& data, const std::string& suffix,
                                              const Options& options = {});

/// The URI without user and password, for messages.
[[nodiscard]] std::string redacted(const std::string& uri);

}  // namespace faro::store
