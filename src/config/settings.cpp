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
  const std::string placement = "Placement";
  const std::string store = "Store";
  const std::string cache = "Cache";
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
      {"exchange", "auto|direct|gathered",
       "messages between nodes: from rank to rank, or gathered from node to node (auto: by their "
       "size) [auto]",
       text(c.exchange), memory},
      {"bind", "auto|none",
       "bind the threads that read and exchange near the NIC, where there are cores enough (`faro "
       "topo` shows it) [auto]",
       text(c.bind), placement},
      {"request-size", "SIZE", "largest range of one request [8M]", size(c.request_size), store},
      {"max-requests", "N",
       "requests in flight of a rank at most; how many are is found by measuring [128]",
       count(c.max_requests), store},
      {"attempts", "N", "tries of a range that is answered wrongly before it is an error [10]",
       count(c.attempts), store},
      {"request-timeout", "SECONDS", "time without a byte before a request is given up [30]",
       seconds(c.request_timeout), store},
      {"low-speed", "SIZE", "bytes a second; slower over request-timeout is given up, too [1024]",
       [&c](std::string_view v) { c.low_speed = static_cast<double>(parse_size(v)); }, store},
      {"request-deadline", "SECONDS", "time that a range may take, all its tries included [600]",
       seconds(c.request_deadline), store},
      {"outage-deadline", "SECONDS",
       "time that the store may answer nothing before the job gives up [120]",
       seconds(c.outage_deadline), store},
      {"hedge", "", "race a request that is slower than others of its size by a second one [true]",
       flag(c.hedge), store},
      {"endpoint-url", "URL", "s3: the store's address, where it is not AWS", text(c.endpoint_url),
       store},
      {"region", "NAME", "s3: the bucket's region", text(c.region), store},
      {"profile", "NAME", "s3: of ~/.aws/config and ~/.aws/credentials", text(c.profile), store},
      {"s3-style", "auto|path|virtual", "s3: where a URL has the bucket's name [auto]",
       text(c.s3_style), store},
      {"anonymous", "", "s3: do not sign requests", flag(c.anonymous), store},
      {"peer-timeout", "SECONDS",
       "silence of other ranks before one gives up on them; more than any pause of a consumer "
       "[300]",
       seconds(c.peer_timeout), store},
      {"ca-file", "FILE", "certificates (PEM) that HTTPS servers are checked against",
       text(c.ca_file), store},
      {"cache", "none|memory|DIR",
       "keep blocks for later epochs; in a directory (a node's NVMe) for later jobs too [none]",
       text(c.cache), cache},
      {"cache-limit", "SIZE", "bytes that a node's cache may hold", size(c.cache_limit), cache},
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
  check(exchange == "auto" || exchange == "direct" || exchange == "gathered",
        ErrorCode::invalid_argument, "exchange = '{}' is unknown: give auto, direct or gathered",
        exchange);
  check(bind == "auto" || bind == "none", ErrorCode::invalid_argument,
        "bind = '{}' is unknown: give auto or none", bind);
  check(s3_style == "auto" || s3_style == "path" || s3_style == "virtual",
        ErrorCode::invalid_argument, "s3_style = '{}' is unknown: give auto, path or virtual",
        s3_style);
  check(!cache.empty(), ErrorCode::invalid_argument,
        "cache is empty: give none, memory or a directory");
  check(cache == "none" || cache_limit > 0, ErrorCode::invalid_argument,
        "cache = '{}' needs cache_limit, the bytes that it may hold on a node", cache);
  range("cache_limit", cache_limit, 0, big);
  const auto within = [](const char* name, double value) {
    check(value > 0 && value <= 86400, ErrorCode::invalid_argument,
          "{} = {} is out of range: it must be above 0 and at most 86400 seconds", name, value);
  };
  within("request_timeout", request_timeout);
  within("request_deadline", request_deadline);
  within("outage_deadline", outage_deadline);
  within("peer_timeout", peer_timeout);
}

}  // namespace faro
