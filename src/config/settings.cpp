#include "base/error.hpp"
#include "config/config.hpp"

namespace faro::config {
namespace {

// One setter a kind of value.
auto text(std::string& value) {
  return [&value](std::string_view given) { value = given; };
}
auto count(std::uint64_t& value) {
  return [&value](std::string_view given) { value = parse_count(given); };
}
auto size(std::uint64_t& value) {
  return [&value](std::string_view given) { value = given == "auto" ? 0 : parse_size(given); };
}
auto seconds(double& value) {
  return [&value](std::string_view given) { value = parse_seconds(given); };
}
auto flag(bool& value) {
  return [&value](std::string_view given) { value = parse_switch(given); };
}

}  // namespace

std::vector<Setting> describe(Config& c) {
  const std::string data = "Data set";
  const std::string order = "Order";
  const std::string memory = "Memory";
  const std::string store = "Store";
  return {
      {"data", "DATA", "shards: brace pattern, directory, glob, one shard, or @file", text(c.data),
       data, true},
      {"manifest", "FILE", "manifest of the data set (HDF5); made there if it does not exist",
       text(c.manifest), data},
      {"format", "auto|tar|raw", "how samples lie in shards (auto: by the shards' name) [auto]",
       text(c.format), data},
      {"raw-header", "SIZE", "raw: bytes before the first record of a shard [0]",
       size(c.raw_header), data},
      {"raw-record", "SIZE", "raw: bytes of a record", size(c.raw_record), data},
      {"block-size", "SIZE|auto", "indexing: target size of a block, the unit that is read [auto]",
       size(c.block_size), data},
      {"checksums", "",
       "indexing: read every byte and record each block's CRC32C (the default of `faro index`)",
       flag(c.checksums), data},
      {"epochs", "N", "number of epochs [1]", count(c.epochs), order},
      {"first-epoch", "N", "number of the first epoch [0]", count(c.first_epoch), order},
      {"seed", "N", "seed of the shuffle [0]", count(c.seed), order},
      {"global-batch", "N", "samples of a step, over all ranks [64]", count(c.global_batch), order},
      {"window", "SIZE|full|auto",
       "bytes that are shuffled together, over all ranks (auto: the most that the memory holds) "
       "[auto]",
       [&c](std::string_view given) { c.window = parse_window(given); }, order},
      {"end", "drop|pad|partial", "what becomes of an incomplete last batch [drop]",
       [&c](std::string_view given) { c.end = parse_end(given); }, order},
      {"verify", "",
       "prove after every epoch that each sample came once, and each byte was read once",
       flag(c.verify), order},
      {"memory", "SIZE|auto",
       "budget of a rank (auto: half of what is free, over the node's ranks) [auto]",
       size(c.memory), memory},
      {"leases", "N", "batches a consumer may work on at once, the next one included [2]",
       count(c.leases), memory},
      {"node-ranks", "N", "ranks that share one arena (0: all ranks of a node) [0]",
       count(c.node_ranks), memory},
      {"request-size", "SIZE", "largest range of one request [8M]", size(c.request_size), store},
      {"max-requests", "N", "requests in flight of a rank [32]", count(c.max_requests), store},
      {"attempts", "N", "tries of one range before it is an error [4]", count(c.attempts), store},
      {"request-timeout", "SECONDS", "time without a byte before a request is given up [30]",
       seconds(c.request_timeout), store},
      {"peer-timeout", "SECONDS",
       "silence of other ranks before one gives up on them; more than any pause of a consumer "
       "[300]",
       seconds(c.peer_timeout), store},
      {"ca-file", "FILE", "certificates (PEM) that HTTPS servers are checked against",
       text(c.ca_file), store},
  };
}

}  // namespace faro::config

namespace faro {

void Config::validate() const {
  const auto range = [](const char* name, std::uint64_t value, std::uint64_t low,
                        std::uint64_t high) {
    check(value >= low && value <= high, ErrorCode::invalid_argument,
          "{} = {} is out of range: it must be from {} to {}", name, value, low, high);
  };
  check(!data.empty(), ErrorCode::invalid_argument,
        "no data: name the shards, such as '/data/train-{{000000..000127}}.tar'");
  check(format == "auto" || format == "tar" || format == "raw", ErrorCode::invalid_argument,
        "format = '{}' is unknown: give auto, tar or raw", format);
  check(format != "raw" || raw_record > 0, ErrorCode::invalid_argument,
        "format = raw needs raw_record, the bytes of a record");
  constexpr std::uint64_t big = std::uint64_t{1} << 62;
  range("raw_header", raw_header, 0, big);
  range("raw_record", raw_record, 0, big);
  range("block_size", block_size, 0, std::uint64_t{1} << 40);
  range("epochs", epochs, 1, std::uint64_t{1} << 32);
  range("first_epoch", first_epoch, 0, std::uint64_t{1} << 32);
  range("global_batch", global_batch, 1, std::uint64_t{1} << 32);
  range("leases", leases, 1, 1024);
  range("node_ranks", node_ranks, 0, 1U << 20);
  range("request_size", request_size, 4096, std::uint64_t{1} << 30);
  range("max_requests", max_requests, 1, 4096);
  range("attempts", attempts, 1, 100);
  check(window.kind != Window::Kind::bytes || window.bytes > 0, ErrorCode::invalid_argument,
        "window = 0 holds nothing: give a size of at least one byte, full or auto");
  check(request_timeout > 0 && request_timeout <= 86400, ErrorCode::invalid_argument,
        "request_timeout = {} is out of range: it must be above 0 and at most 86400 seconds",
        request_timeout);
  check(peer_timeout > 0 && peer_timeout <= 86400, ErrorCode::invalid_argument,
        "peer_timeout = {} is out of range: it must be above 0 and at most 86400 seconds",
        peer_timeout);
}

}  // namespace faro
