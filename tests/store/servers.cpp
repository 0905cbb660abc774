#include "servers.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "base/error.hpp"

#ifndef FARO_FAULT_SERVER
#define FARO_FAULT_SERVER "tests/store/fault_server.py"
#endif

namespace faro::store::testing {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return address;
}

bool listening(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto address = loopback(port);
  const bool yes = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  close(fd);
  return yes;
}

void run(const std::string& command) {
  if (std::system(command.c_str()) != 0) throw std::runtime_error("failed: " + command);
}

// What the machine's proxy settings say must not reach loopback.
const bool no_proxy = setenv("no_proxy", "*", 1) == 0;

}  // namespace

TempDir::TempDir() {
  std::string name = (fs::temp_directory_path() / "faro-store-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
  path_ = name;
}

TempDir::~TempDir() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

Child::Child(const std::vector<std::string>& command) {
  std::vector<char*> arguments;
  for (const auto& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  int in[2], out[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  input_ = in[1];
  output_ = out[0];
  if (pid_ < 0) throw std::runtime_error("fork");
}

Child::~Child() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close(input_);
  close(output_);
}

bool Child::running() {
  if (pid_ > 0 && waitpid(pid_, nullptr, WNOHANG) != 0) pid_ = -1;
  return pid_ > 0;
}

std::string Child::read_line() {
  std::string line;
  for (char c = 0; ::read(output_, &c, 1) == 1 && c != '\n';) line += c;
  return line;
}

Nginx::Nginx() {
  for (const char* name : {"conf", "logs", "tmp", "data"}) fs::create_directory(dir_.path() / name);
  run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
      " -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1,DNS:localhost -keyout " +
      dir_.file("conf/srv.key") + " -out " + dir_.file("conf/srv.pem") + " 2>/dev/null");
  // Another process may take a free port before nginx does.
  for (int attempt = 0; attempt < 5; ++attempt) {
    if (start()) return;
  }
  throw std::runtime_error("nginx does not start; it is package nginx-light");
}

bool Nginx::start() {
  port_ = free_port();
  tls_port_ = free_port();
  // One process: a killed master would leave its workers.
  write_text(dir_.path() / "conf/nginx.conf",
             fmt::format(R"(daemon off; master_process off; pid logs/nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  client_body_temp_path tmp/b; proxy_temp_path tmp/p; fastcgi_temp_path tmp/f;
  uwsgi_temp_path tmp/u; scgi_temp_path tmp/s;
  ssl_certificate srv.pem; ssl_certificate_key srv.key;
  root data;
  server {{
    listen 127.0.0.1:{}; listen 127.0.0.1:{} ssl;
    location /denied/ {{ deny all; }}
    location /plain/ {{ rewrite ^/plain/(.*)$ http://127.0.0.1:{}/$1 redirect; }}
  }}
}}
)",
                         port_, tls_port_, port_));
  child_ = std::make_unique<Child>(std::vector<std::string>{
      "nginx", "-p", dir_.path().string(), "-c", "conf/nginx.conf", "-e", "logs/error.log"});
  for (int i = 0; i < 500 && child_->running(); ++i) {
    if (listening(port_) && listening(tls_port_)) return child_->running();
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

std::string Nginx::http() const {
  return fmt::format("http://127.0.0.1:{}", port_);
}
std::string Nginx::https() const {
  return fmt::format("https://127.0.0.1:{}", tls_port_);
}

FaultServer::FaultServer()
    : child_(std::make_unique<Child>(std::vector<std::string>{"python3", FARO_FAULT_SERVER})) {
  const auto line = child_->read_line();
  if (line.empty()) throw std::runtime_error("fault_server.py does not start");
  port_ = std::stoi(line);
}

std::string FaultServer::uri(const std::string& path) const {
  return fmt::format("http://127.0.0.1:{}{}", port_, path);
}

std::uint64_t FaultServer::count(const std::string& path) const {
  return stat_one(quick_options(), uri("/count" + path)).info.size;
}

std::uint64_t FaultServer::connections() const {
  return stat_one(quick_options(), uri("/connections")).info.size;
}

std::vector<std::byte> FaultServer::object() {
  std::vector<std::byte> bytes(1 << 20);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>((i * 7 + (i >> 8) * 13) % 251);
  }
  return bytes;
}

Nginx& nginx() {
  static Nginx server;
  return server;
}

FaultServer& fault_server() {
  static FaultServer server;
  return server;
}

int free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto address = loopback(0);
  socklen_t size = sizeof(address);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("no free port");
  }
  close(fd);
  return ntohs(address.sin_port);
}

std::vector<std::byte> pattern(std::size_t size, unsigned seed) {
  std::vector<std::byte> bytes(size);
  std::uint64_t state = seed + 1;
  for (auto& byte : bytes) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<std::byte>(state >> 56);
  }
  return bytes;
}

void write_file(const fs::path& path, const std::vector<std::byte>& bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

void write_text(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

Options quick_options() {
  Options options;
  options.backoff = 0.001;
  options.stall_timeout = 5.0;
  options.connect_timeout = 5.0;
  return options;
}

std::vector<Completion> finish(Client& client) {
  std::vector<Completion> done;
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (client.pending() > 0) {
    client.poll(done, 1000ms);
    if (std::chrono::steady_clock::now() > deadline) {
      ADD_FAILURE() << client.pending() << " requests hang";
      break;
    }
  }
  return done;
}

Completion read_one(const Options& options, Request request) {
  Client client(options);
  client.read(std::move(request));
  return finish(client).at(0);
}

Completion stat_one(const Options& options, const std::string& uri) {
  Client client(options);
  client.stat(0, uri);
  return finish(client).at(0);
}

}  // namespace faro::store::testing
