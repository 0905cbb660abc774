#include "comm/comm.hpp"

#include <array>
#include <new>

namespace faro::comm {

Error current_error(int rank) {
  try {
    throw;
  } catch (const Error& error) {
    return {error.code(), error.what(), error.rank() >= 0 ? error.rank() : rank};
  } catch (const std::bad_alloc&) {
    return {ErrorCode::memory, "out of memory", rank};
  } catch (const std::exception& error) {
    return {ErrorCode::internal, error.what(), rank};
  } catch (...) {
    return {ErrorCode::internal, "an exception of an unknown type", rank};
  }
}

std::unique_ptr<Operation> Communicator::start_sum(std::span<const float>, std::span<float>) {
  fail(ErrorCode::internal, "this communicator sums no floats");
}

std::vector<std::byte> broadcast_bytes(Communicator& comm, std::vector<std::byte> bytes, int root) {
  std::uint64_t size = bytes.size();
  comm.broadcast(std::as_writable_bytes(std::span(&size, 1)), root);
  bytes.resize(size);
  comm.broadcast(bytes, root);
  return bytes;
}

std::string broadcast_text(Communicator& comm, const std::string& text, int root) {
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  const auto bytes = broadcast_bytes(comm, {begin, begin + text.size()}, root);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void agree(Communicator& comm, const std::optional<Error>& mine) {
  const auto none = static_cast<std::uint64_t>(comm.size());
  std::array<std::uint64_t, 1> first{mine ? static_cast<std::uint64_t>(comm.rank()) : none};
  comm.all_reduce(first, Op::min);
  if (first[0] == none) return;
  const int root = static_cast<int>(first[0]);
  std::array<std::int32_t, 2> head{};
  if (comm.rank() == root) head = {static_cast<int>(mine->code()), mine->rank()};
  comm.broadcast(std::as_writable_bytes(std::span(head)), root);
  const auto text = broadcast_text(comm, comm.rank() == root ? mine->what() : "", root);
  throw Error(static_cast<ErrorCode>(head[0]), text, head[1] >= 0 ? head[1] : root);
}

}  // namespace faro::comm
