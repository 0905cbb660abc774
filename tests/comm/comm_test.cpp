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

}  // namespace
}  // namespace faro::comm
