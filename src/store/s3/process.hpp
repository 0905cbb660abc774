// Internal to store/: a command whose output is wanted.
#pragma once

#include <chrono>
#include <stop_token>
#include <string>

namespace faro::store::s3 {

/// What a command wrote to its standard output, and how it ended.
struct Output {
  std::string text;
  std::string problem;  ///< empty where it ended with 0 in time, and wrote not too much
};

/// Runs `/bin/sh -c command` with no input and its errors thrown away, in a process group of its
/// own, which is killed where it takes longer than `limit`, writes more than `most` bytes, or a
/// stop is asked for. Never throws what the command wrote.
[[nodiscard]] Output run_command(const std::string& command, std::chrono::milliseconds limit,
                                 std::size_t most, const std::stop_token& stop);

}  // namespace faro::store::s3
