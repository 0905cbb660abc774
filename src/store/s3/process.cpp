#include "store/s3/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "base/error.hpp"

extern char** environ;

namespace faro::store::s3 {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds tick(50);  // how long a stop may go unseen

struct Pipe {
  int read = -1;
  int write = -1;
  Pipe() {
    std::array<int, 2> ends{};
    check(pipe2(ends.data(), O_CLOEXEC) == 0, ErrorCode::io, "no pipe: {}", std::strerror(errno));
    read = ends[0];
    write = ends[1];
  }
  ~Pipe() {
    close(read);
    close_write();
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void close_write() {
    if (write >= 0) close(write);
    write = -1;
  }
};

// The host program's blocked and ignored signals are no business of the command.
class Spawning {
 public:
  explicit Spawning(int output) {
    posix_spawn_file_actions_init(&files_);
    posix_spawnattr_init(&attributes_);
    posix_spawn_file_actions_addopen(&files_, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files_, output, 1);
    posix_spawn_file_actions_addopen(&files_, 2, "/dev/null", O_WRONLY, 0);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setpgroup(&attributes_, 0);
    posix_spawnattr_setflags(
        &attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
  ~Spawning() {
    posix_spawn_file_actions_destroy(&files_);
    posix_spawnattr_destroy(&attributes_);
  }
  Spawning(const Spawning&) = delete;
  Spawning& operator=(const Spawning&) = delete;

  pid_t run(std::string command) {
    std::string shell = "sh", option = "-c";
    std::array<char*, 4> arguments{shell.data(), option.data(), command.data(), nullptr};
    pid_t child = -1;
    const int error =
        posix_spawn(&child, "/bin/sh", &files_, &attributes_, arguments.data(), environ);
    check(error == 0, ErrorCode::io, "/bin/sh does not start: {}", std::strerror(error));
    return child;
  }

 private:
  posix_spawn_file_actions_t files_{};
  posix_spawnattr_t attributes_{};
};

// Reads to the end; why it gave up before that.
std::string read_all(int pipe, std::string& text, Clock::time_point deadline, std::size_t most,
                     const std::stop_token& stop) {
  std::array<char, 4096> buffer{};
  while (true) {
    if (stop.stop_requested()) return "was stopped";
    if (Clock::now() >= deadline) return "took too long";
    pollfd waiting{pipe, POLLIN, 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(tick.count()));
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    const auto size = ::read(pipe, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return "could not be read";
    if (size == 0) return {};
    if (text.size() + static_cast<std::size_t>(size) > most) return "wrote too much";
    text.append(buffer.data(), static_cast<std::size_t>(size));
  }
}

std::string meaning(int status) {
  if (WIFSIGNALED(status)) return fmt::format("was killed by signal {}", WTERMSIG(status));
  const int code = WEXITSTATUS(status);
  return code == 0 ? "" : fmt::format("ended with code {}", code);
}

// Waits for the end of a child whose output has ended; nothing where that takes too long.
std::optional<std::string> wait_for(pid_t child, Clock::time_point deadline,
                                    const std::stop_token& stop) {
  while (true) {
    int status = 0;
    const pid_t ended = waitpid(child, &status, WNOHANG);
    if (ended == child) return meaning(status);
    // Where the host program ignores SIGCHLD, nobody can tell how it ended.
    if (ended < 0 && errno != EINTR) return "";
    if (stop.stop_requested() || Clock::now() >= deadline) return std::nullopt;
    ::poll(nullptr, 0, 5);
  }
}

}  // namespace

Output run_command(const std::string& command, std::chrono::milliseconds limit, std::size_t most,
                   const std::stop_token& stop) {
  const auto deadline = Clock::now() + limit;
  Output out;
  Pipe pipe;
  const pid_t child = Spawning(pipe.write).run(command);
  pipe.close_write();
  out.problem = read_all(pipe.read, out.text, deadline, most, stop);
  const auto end = out.problem.empty() ? wait_for(child, deadline, stop) : std::nullopt;
  if (end) {
    out.problem = *end;
  } else {
    if (out.problem.empty()) out.problem = "took too long";
    // It has not ended, or nobody has asked yet, so its number is still its own.
    kill(-child, SIGKILL);
    while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  if (!out.problem.empty()) out.text.clear();
  return out;
}

}  // namespace faro::store::s3
