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
  changed,        ///< another object than the one expected
  invalid,        ///< the request itself makes no sense
  io,             ///< a local read failed
};

/// A failed attempt: its cause, and what happened, for a message of one line.
struct Failure {
  Cause cause;
  std::string text;
};

/// One attempt. The transport refers to it until it has given its result.
struct Attempt {
  Request request;
  bool stat = false;  ///< only size and ETag are asked; range and into are not used
};

/// How an attempt ended.
struct Result {
  const Attempt* attempt = nullptr;
  std::optional<Failure> failure;
  ObjectInfo info;
  std::uint64_t received = 0;        ///< body bytes, kept or not
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

/// Local files, read by a few threads. `notify` is called by those threads after every result.
[[nodiscard]] std::unique_ptr<Transport> make_file_transport(const Options& options,
                                                             std::function<void()> notify);

/// http:// and https:// by libcurl's multi interface.
[[nodiscard]] std::unique_ptr<Transport> make_http_transport(const Options& options);

}  // namespace faro::store
