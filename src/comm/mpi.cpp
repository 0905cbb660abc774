#include "comm/mpi.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "comm/mpi_call.hpp"
#include "comm/shared_files.hpp"

namespace faro::comm {
namespace {

MPI_Op to_mpi(Op op) {
  switch (op) {
    case Op::sum: return MPI_SUM;
    case Op::min: return MPI_MIN;
    case Op::max: return MPI_MAX;
  }
  return MPI_OP_NULL;
}

class MpiOperation final : public Operation {
 public:
  explicit MpiOperation(MPI_Request request, const char* call) : request_(request), call_(call) {}
  MpiOperation(const MpiOperation&) = delete;
  MpiOperation& operator=(const MpiOperation&) = delete;
  ~MpiOperation() override {
    if (request_ != MPI_REQUEST_NULL && mpi_alive()) MPI_Wait(&request_, MPI_STATUS_IGNORE);
  }
  bool done() override {
    if (request_ == MPI_REQUEST_NULL) return true;
    int flag = 0;
    check_mpi(MPI_Test(&request_, &flag, MPI_STATUS_IGNORE), call_);
    return flag != 0;
  }

 private:
  MPI_Request request_;
  const char* call_;
};

class MpiCommunicator final : public Communicator {
 public:
  /// Takes ownership of comm.
  explicit MpiCommunicator(MPI_Comm comm) : comm_(comm) {
    MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN);
    check_mpi(MPI_Comm_rank(comm_, &rank_), "MPI_Comm_rank");
    check_mpi(MPI_Comm_size(comm_, &size_), "MPI_Comm_size");
  }
  MpiCommunicator(const MpiCommunicator&) = delete;
  MpiCommunicator& operator=(const MpiCommunicator&) = delete;
  ~MpiCommunicator() override {
    if (mpi_alive() && !left_behind_) MPI_Comm_free(&comm_);
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  bool concurrent() const override {
    int level = MPI_THREAD_SINGLE;
    MPI_Query_thread(&level);
    return level == MPI_THREAD_MULTIPLE;
  }

  std::unique_ptr<Communicator> duplicate() override {
    MPI_Comm copy = MPI_COMM_NULL;
    check_mpi(MPI_Comm_dup(comm_, &copy), "MPI_Comm_dup");
    return std::make_unique<MpiCommunicator>(copy);
  }

  std::unique_ptr<Communicator> split_by_node(int limit) override {
    MPI_Comm node = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split_type(comm_, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &node),
              "MPI_Comm_split_type");
    auto whole = std::make_unique<MpiCommunicator>(node);
    if (limit <= 0 || whole->size() <= limit) return whole;
    MPI_Comm group = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split(whole->comm_, whole->rank_ / limit, rank_, &group), "MPI_Comm_split");
    return std::make_unique<MpiCommunicator>(group);
  }

  void barrier() override { check_mpi(MPI_Barrier(comm_), "MPI_Barrier"); }

  void broadcast(std::span<std::byte> bytes, int root) override {
    while (!bytes.empty()) {
      const auto part = bytes.first(std::min<std::size_t>(bytes.size(), max_message));
      check_mpi(MPI_Bcast(part.data(), static_cast<int>(part.size()), MPI_BYTE, root, comm_),
                "MPI_Bcast");
      bytes = bytes.subspan(part.size());
    }
  }

  void all_reduce(std::span<std::uint64_t> values, Op op) override {
    check_mpi(MPI_Allreduce(MPI_IN_PLACE, values.data(), narrow<int>(values.size()), MPI_UINT64_T,
                            to_mpi(op), comm_),
              "MPI_Allreduce");
  }

  std::vector<std::byte> all_gather(std::span<const std::byte> mine) override {
    std::vector<std::byte> all(mine.size() * static_cast<std::size_t>(size_));
    const int count = narrow<int>(mine.size());
    check_mpi(MPI_Allgather(mine.data(), count, MPI_BYTE, all.data(), count, MPI_BYTE, comm_),
              "MPI_Allgather");
    return all;
  }

  std::vector<std::vector<std::byte>> gather(std::span<const std::byte> mine, int root) override {
    const std::uint64_t bytes = mine.size();
    std::vector<std::uint64_t> sizes(rank_ == root ? static_cast<std::size_t>(size_) : 0);
    check_mpi(MPI_Gather(&bytes, 1, MPI_UINT64_T, sizes.data(), 1, MPI_UINT64_T, root, comm_),
              "MPI_Gather");
    constexpr int tag = 1;
    if (rank_ != root) {
      for (std::size_t at = 0; at < mine.size(); at += max_message) {
        const auto part = mine.subspan(at, std::min<std::size_t>(mine.size() - at, max_message));
        check_mpi(MPI_Send(part.data(), static_cast<int>(part.size()), MPI_BYTE, root, tag, comm_),
                  "MPI_Send");
      }
      return {};
    }
    std::vector<std::vector<std::byte>> all(sizes.size());
    for (int from = 0; from < size_; ++from) {
      auto& into = all[static_cast<std::size_t>(from)];
      into.resize(sizes[static_cast<std::size_t>(from)]);
      if (from == root) {
        std::copy(mine.begin(), mine.end(), into.begin());
        continue;
      }
      for (std::size_t at = 0; at < into.size(); at += max_message) {
        const auto count = std::min<std::size_t>(into.size() - at, max_message);
        check_mpi(MPI_Recv(into.data() + at, static_cast<int>(count), MPI_BYTE, from, tag, comm_,
                           MPI_STATUS_IGNORE),
                  "MPI_Recv");
      }
    }
    return all;
  }

  std::unique_ptr<Operation> start_all_reduce(std::span<std::uint64_t> values, Op op) override {
    MPI_Request request = MPI_REQUEST_NULL;
    check_mpi(MPI_Iallreduce(MPI_IN_PLACE, values.data(), narrow<int>(values.size()), MPI_UINT64_T,
                             to_mpi(op), comm_, &request),
              "MPI_Iallreduce");
    return std::make_unique<MpiOperation>(request, "MPI_Iallreduce");
  }

  std::unique_ptr<Operation> start_sum(std::span<const float> mine,
                                       std::span<float> sums) override {
    check(mine.size_bytes() <= max_message && mine.size() == sums.size(), ErrorCode::internal,
          "a sum of {} floats into {}", mine.size(), sums.size());
    MPI_Request request = MPI_REQUEST_NULL;
    check_mpi(MPI_Iallreduce(mine.data(), sums.data(), static_cast<int>(mine.size()), MPI_FLOAT,
                             MPI_SUM, comm_, &request),
              "MPI_Iallreduce");
    return std::make_unique<MpiOperation>(request, "MPI_Iallreduce");
  }

  std::unique_ptr<Operation> start_send(std::span<const std::byte> bytes, int to,
                                        int tag) override {
    check(bytes.size() <= max_message, ErrorCode::internal, "a message of {} bytes", bytes.size());
    MPI_Request request = MPI_REQUEST_NULL;
    check_mpi(
        MPI_Isend(bytes.data(), static_cast<int>(bytes.size()), MPI_BYTE, to, tag, comm_, &request),
        "MPI_Isend");
    return std::make_unique<MpiOperation>(request, "MPI_Isend");
  }

  std::optional<Incoming> probe(int tag) override {
    int flag = 0;
    MPI_Message message = MPI_MESSAGE_NULL;
    MPI_Status status;
    check_mpi(MPI_Improbe(MPI_ANY_SOURCE, tag, comm_, &flag, &message, &status), "MPI_Improbe");
    if (flag == 0) return std::nullopt;
    int bytes = 0;
    check_mpi(MPI_Get_count(&status, MPI_BYTE, &bytes), "MPI_Get_count");
    return Incoming{status.MPI_SOURCE, static_cast<std::uint64_t>(bytes),
                    std::make_shared<MPI_Message>(message)};
  }

  std::unique_ptr<Operation> start_receive(const Incoming& incoming,
                                           std::span<std::byte> into) override {
    check(into.size() >= incoming.bytes, ErrorCode::internal, "a message of {} bytes for {}",
          incoming.bytes, into.size());
    MPI_Request request = MPI_REQUEST_NULL;
    check_mpi(MPI_Imrecv(into.data(), static_cast<int>(incoming.bytes), MPI_BYTE,
                         static_cast<MPI_Message*>(incoming.message.get()), &request),
              "MPI_Imrecv");
    return std::make_unique<MpiOperation>(request, "MPI_Imrecv");
  }

  void leave_behind() noexcept override { left_behind_ = true; }

  std::unique_ptr<SharedMemory> share(std::uint64_t bytes) override {
    return share_files(*this, bytes);
  }

 private:
  MPI_Comm comm_;
  int rank_ = 0;
  int size_ = 1;
  bool left_behind_ = false;
};

/// The number in the first of these variables that is set; 0 where none is.
int number_told(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (const char* value = std::getenv(name)) return std::atoi(value);
  }
  return 0;
}

}  // namespace

void ensure_mpi() {
  int flag = 0;
  MPI_Finalized(&flag);
  check(flag == 0, ErrorCode::invalid_argument, "MPI has been finalised already");
  MPI_Initialized(&flag);
  if (flag != 0) return;
  int level = MPI_THREAD_SINGLE;
  check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &level), "MPI_Init_thread");
  std::atexit([] {
    if (mpi_alive()) MPI_Finalize();
  });
}

int job_rank() {
  int flag = 0;
  MPI_Initialized(&flag);
  int rank = 0;
  if (flag != 0 && mpi_alive()) MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

void abort_job(int code) {
  std::thread([code] {  // MPI_Abort waits for a launcher that may have lost its own peers
    std::this_thread::sleep_for(std::chrono::seconds(2));
    std::_Exit(code);
  })
      .detach();
  MPI_Abort(MPI_COMM_WORLD, code);
  std::abort();
}

int launcher_rank() {
  return number_told({"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"});
}

int launcher_local_rank() {
  return number_told({"OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID", "MPI_LOCALRANKID"});
}

std::string mpi_library() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  check_mpi(MPI_Get_library_version(text.data(), &length), "MPI_Get_library_version");
  const std::string whole(text.data());
  return whole.substr(0, whole.find_first_of(",\n"));
}

std::optional<bool> mpi_says_cuda() {
  // Looked for at run time: which header declares it, if any does, differs by library and version.
  using Query = int (*)();
  const auto query = reinterpret_cast<Query>(dlsym(RTLD_DEFAULT, "MPIX_Query_cuda_support"));
  return query == nullptr ? std::nullopt : std::optional(query() != 0);
}

std::unique_ptr<Communicator> from_mpi(MPI_Comm comm) {
  int flag = 0;
  MPI_Initialized(&flag);
  check(flag != 0 && mpi_alive(), ErrorCode::invalid_argument,
        "MPI is not running: call MPI_Init_thread before, and MPI_Finalize after faro's objects");
  MPI_Comm copy = MPI_COMM_NULL;
  check_mpi(MPI_Comm_dup(comm, &copy), "MPI_Comm_dup");
  return std::make_unique<MpiCommunicator>(copy);
}

}  // namespace faro::comm
