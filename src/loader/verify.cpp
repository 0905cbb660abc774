#include "loader/verify.hpp"

#include <algorithm>
#include <filesystem>

#include "base/error.hpp"
#include "fetch/fetch.hpp"

namespace faro::loader {
namespace {

using std::chrono_literals::operator""ms;

/// Memory of one block under way.
struct Slot {
  std::vector<std::byte> bytes;
  std::vector<format::Extent> extents;
};

std::vector<std::string> check_mine(
    const Dataset& dataset, const Config& config, comm::Communicator& comm, const Loader::Log& log,
    const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  const auto& blocks = dataset.manifest.blocks;
  const auto ranks = static_cast<std::uint64_t>(comm.size());
  const auto rank = static_cast<std::uint64_t>(comm.rank());
  const std::uint64_t mine = blocks.size() / ranks + (rank < blocks.size() % ranks ? 1 : 0);
  // As many blocks under way as 64 MiB hold, but two at least, so that the next is on its way.
  constexpr std::uint64_t room = std::uint64_t{64} << 20;
  std::vector<Slot> slots(
      std::clamp<std::uint64_t>(room / std::max<std::uint64_t>(dataset.manifest.largest_block, 1),
                                2, config.max_requests + 2));
  std::vector<std::uint64_t> free(slots.size());
  for (std::uint64_t i = 0; i < free.size(); ++i) free[i] = i;

  auto store = store::options_of(config);
  store.ranks = narrow<unsigned>(comm.size());
  if (comm.rank() == 0) store.notice = log;
  // After the slots: it writes to them as long as it lives.
  fetch::Fetcher fetcher(dataset.manifest, *dataset.format,
                         {std::move(store), config.request_size, room, comm.rank()});
  std::vector<std::string> bad;
  std::vector<fetch::Done> done;
  std::uint64_t next = rank;
  for (std::uint64_t ended = 0; ended < mine;) {
    while (next < blocks.size() && !free.empty()) {
      auto& slot = slots[free.back()];
      slot.bytes.resize(std::max<std::uint64_t>(slot.bytes.size(), blocks[next].length));
      slot.extents.resize(std::max<std::uint64_t>(slot.extents.size(), blocks[next].count));
      fetcher.start({free.back(), next, slot.bytes.data(), slot.extents.data()});
      free.pop_back();
      next += ranks;
    }
    done.clear();
    fetcher.poll(done, 100ms);
    for (const auto& end : done) {
      if (end.error) bad.emplace_back(end.error->what());
      free.push_back(end.job.id);
      ++ended;
    }
    if (progress && comm.rank() == 0) progress(ended, mine);
  }
  return bad;
}

}  // namespace

VerifyResult verify_blocks(const Config& config, comm::Communicator& comm, const Loader::Log& log,
                           const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  const auto file = config.manifest.empty() ? default_manifest(config.data) : config.manifest;
  comm::together(comm, [&] {
    std::error_code ignored;
    check(comm.rank() != 0 || std::filesystem::exists(file, ignored), ErrorCode::not_found,
          "{}: no manifest to verify against: `faro index` writes it", file);
  });
  auto named = config;
  named.manifest = file;
  const auto dataset = open_dataset(named, comm, log);
  VerifyResult result;
  result.blocks = dataset.manifest.blocks.size();
  result.bytes = dataset.manifest.bytes;
  result.unchecked = static_cast<std::uint64_t>(
      std::count_if(dataset.manifest.blocks.begin(), dataset.manifest.blocks.end(),
                    [](const auto& b) { return (b.flags & manifest::Block::has_crc) == 0; }));
  std::string lines;
  comm::together(comm, [&] {
    if (progress && comm.rank() == 0) progress(0, result.blocks);
    for (const auto& line : check_mine(dataset, config, comm, log, progress)) lines += line + '\n';
  });
  const auto all = comm.gather(std::as_bytes(std::span(lines.data(), lines.size())), 0);
  lines.clear();
  for (const auto& part : all) {
    lines.append(reinterpret_cast<const char*>(part.data()), part.size());
  }
  lines = comm::broadcast_text(comm, lines, 0);
  for (std::size_t at = 0; at < lines.size();) {
    const auto end = lines.find('\n', at);
    result.bad.push_back(lines.substr(at, end - at));
    at = end + 1;
  }
  return result;
}

}  // namespace faro::loader
