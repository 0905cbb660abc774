// What a piece of work fails with.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "faro/error.hpp"

namespace faro::test {

/// The error that `work` ends with; a failure of the test where it ends with none.
Error error_of(const auto& work) {
  try {
    work();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error";
  return {ErrorCode::internal, "no error"};
}

/// The text of that error, which must have the code.
std::string error_of(const auto& work, ErrorCode code) {
  const Error error = error_of(work);
  EXPECT_EQ(error.code(), code) << error.what();
  return error.what();
}

}  // namespace faro::test

#define EXPECT_SAYS(text, part) EXPECT_NE(std::string(text).find(part), std::string::npos) << (text)
