// Interface of store/: where shards live. Asynchronous range reads into the caller's memory, sizes,
// and the expansion of DATA into a list of shards.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

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
};

/// How requests are made, and how often again.
struct Options {
  std::size_t max_requests = 32;  ///< in flight at once; more are queued
  unsigned attempts = 4;          ///< tries of one request
  double stall_timeout = 30.0;    ///< seconds without a byte before an attempt is given up
  double connect_timeout = 10.0;  ///< seconds to connect
  double backoff = 0.1;  ///< seconds; attempt n waits uniform(0, backoff * 3^n): full jitter
  std::string ca_file;   ///< PEM bundle; empty: the system's
};

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
  ObjectInfo info;        ///< of the object, as far as the answer told
  unsigned attempts = 1;  ///< tries that it took
};

/// What a client has done so far.
struct Counters {
  std::uint64_t requests = 0;      ///< attempts sent, sizes asked included
  std::uint64_t retries = 0;       ///< attempts beyond the first of a request
  std::uint64_t bytes = 0;         ///< body bytes received by reads that succeeded
  std::uint64_t wasted_bytes = 0;  ///< body bytes received by attempts that failed
};

/// A client of all stores: queues requests, holds at most max_requests in flight, retries.
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
  /// Drives the transfers; appends the completions and returns as soon as there is one, after
  /// `timeout`, after wake(), or at once where nothing is queued or in flight.
  void poll(std::vector<Completion>& done, std::chrono::milliseconds timeout);
  /// Makes a running or the next poll() return. May be called from any thread.
  void wake();
  /// Requests queued or in flight.
  [[nodiscard]] std::size_t pending() const noexcept;
  [[nodiscard]] const Counters& counters() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The shards that DATA names, in order: a brace pattern (`{000..127}` keeps its zeros, `{a,b}`), a
/// directory or glob where the store lists (file://, sorted, hidden files left out), one shard, or
/// `@file` with one URI a line (`#` comments). Plain paths become absolute file:// URIs, in which
/// nothing is percent-encoded: what follows file:// is the path, byte by byte.
/// \param suffix of the files that a directory's listing takes (".tar"); empty: all
/// Errors: invalid_argument (pattern), not_found (directory without shards, no match, no list).
[[nodiscard]] std::vector<std::string> expand(const std::string& data, const std::string& suffix);

/// The URI without user and password, for messages.
[[nodiscard]] std::string redacted(const std::string& uri);

}  // namespace faro::store
