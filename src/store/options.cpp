#include "store/options.hpp"

#include <unistd.h>

#include "base/error.hpp"

namespace faro::store {

Options options_of(const Config& config) {
  Options options;
  options.max_requests = config.max_requests;
  options.attempts = narrow<unsigned>(config.attempts);
  options.stall_timeout = config.request_timeout;
  options.low_speed = config.low_speed;
  options.connect_timeout = std::min(options.connect_timeout, config.request_timeout);
  options.request_deadline = config.request_deadline;
  options.outage_deadline = config.outage_deadline;
  options.hedge = config.hedge;
  options.ca_file = config.ca_file;
  options.s3 = {config.endpoint_url, config.region, config.profile, config.s3_style,
                config.anonymous};
  return options;
}

void check_options(const Options& options) {
  check(options.max_requests >= 1 && options.max_requests <= 65536, ErrorCode::invalid_argument,
        "max_requests is {}; give 1 to 65536", options.max_requests);
  check(options.attempts >= 1, ErrorCode::invalid_argument, "attempts is 0; give at least 1");
  const auto check_seconds = [](const char* name, double value, double least) {
    check(value >= least && value <= 86400, ErrorCode::invalid_argument,
          "{} is {} s; give {} to 86400", name, value, least);
  };
  check_seconds("stall_timeout", options.stall_timeout, 0.001);
  check_seconds("connect_timeout", options.connect_timeout, 0.001);
  check_seconds("request_deadline", options.request_deadline, 0.001);
  check_seconds("outage_deadline", options.outage_deadline, 0.001);
  check_seconds("backoff", options.backoff, 0.0);
  check(options.ca_file.empty() || access(options.ca_file.c_str(), R_OK) == 0,
        ErrorCode::invalid_argument, "ca_file '{}' cannot be read", options.ca_file);
}

}  // namespace faro::store
