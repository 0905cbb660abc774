// The communicator seam over MPI.
#include "comm/mpi.hpp"
#include "conformance.hpp"

namespace faro::comm {
namespace {

class Mpi : public testing::TestWithParam<conformance::Check> {};

TEST_P(Mpi, Conforms) {
  const auto comm = from_mpi(MPI_COMM_WORLD);
  GetParam().run(*comm);
}

INSTANTIATE_TEST_SUITE_P(All, Mpi, testing::ValuesIn(conformance::checks),
                         [](const auto& info) { return info.param.name; });

TEST(MpisErrors, NameTheCall) {
  const auto comm = from_mpi(MPI_COMM_WORLD);
  const std::string text = "x";
  try {
    (void)comm->start_send(conformance::bytes(text), comm->size() + 3, 1);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("MPI_Isend"), std::string::npos);
  }
}

// A peer that has left a run early may get what the others had begun when the communicator's number
// is already another one's.
TEST(LeftBehind, ACommunicatorKeepsItsLateMessages) {
  const auto world = from_mpi(MPI_COMM_WORLD);
  for (int i = 0; i < 20; ++i) {
    auto copy = world->duplicate();
    copy->leave_behind();
    auto* values = new std::vector<std::uint64_t>(1, 1);  // may be written for ever
    if (world->rank() == 0) {
      copy.reset();
    } else {
      static_cast<void>(copy->start_all_reduce(*values, Op::sum).release());
    }
    world->barrier();
    MPI_Comm alone = MPI_COMM_NULL;
    MPI_Comm_split(MPI_COMM_WORLD, world->rank(), 0, &alone);
    EXPECT_EQ(from_mpi(alone)->size(), 1);
    MPI_Comm_free(&alone);
  }
}

}  // namespace
}  // namespace faro::comm
