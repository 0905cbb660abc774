// Internal to store/: one attempt of one request. Retrying, queueing and routing are the client's;
// a transport only moves bytes and says, by cause, how an attempt failed.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/store.hpp"

namespace faro::store {

/// Why an attempt failed. What each means for the caller, and whether another attempt may help, is
/// the retry policy's to say (retry.hpp).
enum class Cause {
  connection,     ///< no connection, or a broken one
  timeout,        ///< no connection or no byte in time
  throttled,      ///< the store asks for less (429, 503)
  server_error,   ///< other 5xx, 408
  truncated,      ///< the body ended early
  bad_answer,     ///< an answer to another question: Content-Range, over-long body
  unsupported,    ///< the server cannot do what is needed (Range, identity encoding)
  untrusted,      ///< TLS: the certificate is not trusted
  not_found,      ///< no such object
  access_denied,  ///< the store refuses
  expired,        ///< the credentials were good until now; others are looked for
  changed,        ///< another object than the one expected
  invalid,        ///< the request itself makes no sense
  io,             ///< a local read failed
};

/// A failed attempt: its cause, and what happened, for a message of one line.
struct Failure {
  Cause cause;
  std::string text;
  double retry_after = 0;  ///< seconds that the store asks to wait (Retry-After)
};

/// One attempt. The transport refers to it until it has given its result.
struct Attempt {
  enum class Kind { read, stat, call };

  Kind kind = Kind::read;
  Request request;     ///< stat: only uri and expect; call: none of it
  Call call;           ///< call alone
  bool fresh = false;  ///< on a new connection, to an address that was looked up anew

  [[nodiscard]] const std::string& uri() const noexcept {
    return kind == Kind::call ? call.uri : request.uri;
  }
};

/// How an attempt ended.
struct Result {
  const Attempt* attempt = nullptr;
  std::optional<Failure> failure;
  ObjectInfo info;
  std::string text;            ///< a call's answer
  std::uint64_t received = 0;  ///< body bytes, kept or not
  std::uint64_t kept = 0;      ///< of a read: right ones in `into`, from its start, if it failed
  std::uint32_t crc32c = 0;    ///< of the bytes received into `into`, or kept
  double seconds = 0;          ///< from its start to its end
  double first_byte = 0;       ///< seconds from its start to the first byte of a body
  std::uint64_t extra_requests = 0;  ///< sent beyond the one that an attempt is
};

/// Moves the bytes of one kind of store. One thread drives it; wake() may come from any. The
/// destructor cancels all, and returns once nothing writes into a request's memory any more.
class Transport {
 public:
  Transport() = default;
  virtual ~Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  virtual void start(const Attempt& attempt) = 0;
  /// Appends results and returns as soon as there is one, after `timeout`, or after wake().
  virtual void poll(std::vector<Result>& done, std::chrono::milliseconds timeout) = 0;
  virtual void wake() = 0;
};

/// A transport to another machine, where a second attempt may overtake a first.
class RemoteTransport : public Transport {
 public:
  /// Ends an attempt at once, without a result, and returns what it had received. Nothing writes
  /// into its memory any more.
  virtual std::uint64_t cancel(const Attempt& attempt) = 0;
  /// Whether a byte of the attempt's body has come.
  [[nodiscard]] virtual bool answers(const Attempt& attempt) const = 0;
  /// How long poll() has slept in all, with nothing to do.
  [[nodiscard]] virtual std::chrono::steady_clock::duration slept() const noexcept = 0;
};

/// Makes the transports of one client.
class Transports {
 public:
  virtual ~Transports() = default;
  [[nodiscard]] virtual std::unique_ptr<RemoteTransport> remote(const Options& options) = 0;
  /// \param notify as of make_file_transport
  [[nodiscard]] virtual std::unique_ptr<Transport> file(const Options& options,
                                                        std::function<void()> notify) = 0;
};

/// Local files, read by a few threads. `notify` is called by those threads after every result.
[[nodiscard]] std::unique_ptr<Transport> make_file_transport(const Options& options,
                                                             std::function<void()> notify);

/// http://, https:// and s3:// by libcurl's multi interface.
[[nodiscard]] std::unique_ptr<RemoteTransport> make_http_transport(const Options& options);

}  // namespace faro::store
