#include "servers.hpp"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "base/error.hpp"

#ifndef FARO_FAULT_SERVER
#define FARO_FAULT_SERVER "tests/store/fault_server.py"
#define FARO_RADOSGW "tests/support/radosgw.py"
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

// What the machine's proxy settings say must not reach loopback, and what AWS's tools are told on
// it must not reach the tests.
const bool hermetic = [] {
  setenv("no_proxy", "*", 1);
  setenv("AWS_CONFIG_FILE", "/dev/null", 1);
  setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null", 1);
  for (const char* name : {"AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL",
                           "AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE"}) {
    unsetenv(name);
  }
  return true;
}();

std::size_t append(char* data, std::size_t size, std::size_t count, void* into) {
  static_cast<std::string*>(into)->append(data, size * count);
  return size * count;
}

std::string fetch(const std::string& url) {
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(),
                                                                 curl_easy_cleanup);
  std::string body;
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_PROXY, "");
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT, 20L);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, append);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &body);
  if (curl_easy_perform(curl.get()) != CURLE_OK) throw std::runtime_error("no answer: " + url);
  return body;
}

// Requests by the share of errors, delays and the rate in their path; nothing without its modules.
constexpr const char* lua_modules = "/usr/lib/nginx/modules";
constexpr const char* shape_location = R"(
    location ~ ^/shaped/(?<share>\d+)/(?<delay>\d+)/(?<slow>\d+)/(?<rate>\w+)/(?<rest>.*)$ {
      alias data/$rest; limit_rate $rate; sendfile_max_chunk 256k;
      access_by_lua_block {
        requests = (requests or 0) + 1
        local wait = tonumber(ngx.var.delay)
        if requests % 100 == 99 then wait = wait + tonumber(ngx.var.slow) end
        if wait > 0 then ngx.sleep(wait / 1000) end
        if math.random(100) <= tonumber(ngx.var.share) then return ngx.exit(503) end
      }
    })";

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

void Child::write_line(const std::string& line) {
  const std::string text = line + "\n";
  if (write(input_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    throw std::runtime_error("a test's server has ended");
  }
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
             fmt::format(R"({}daemon off; master_process off; pid logs/nginx.pid;
events {{ worker_connections 1024; }}
http {{
  {}
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  client_body_temp_path tmp/b; proxy_temp_path tmp/p; fastcgi_temp_path tmp/f;
  uwsgi_temp_path tmp/u; scgi_temp_path tmp/s;
  ssl_certificate srv.pem; ssl_certificate_key srv.key;
  root data;
  server {{
    listen 127.0.0.1:{}; listen 127.0.0.1:{} ssl;
    location /denied/ {{ deny all; }}
    location /plain/ {{ rewrite ^/plain/(.*)$ http://127.0.0.1:{}/$1 redirect; }}{}
  }}
}}
)",
                         shapes() ? fmt::format("load_module {0}/ndk_http_module.so;\n"
                                                "load_module {0}/ngx_http_lua_module.so;\n",
                                                lua_modules)
                                  : "",
                         shapes() ? "init_by_lua_block { math.randomseed(7) }" : "", port_,
                         tls_port_, port_, shapes() ? shape_location : ""));
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

bool Nginx::shapes() {
  return fs::exists(fmt::format("{}/ngx_http_lua_module.so", lua_modules));
}

std::string Nginx::shaped(const Shape& shape) const {
  return fmt::format("{}/shaped/{}/{}/{}/{}", http(), shape.errors, shape.delay, shape.slow,
                     shape.rate);
}

FaultServer::FaultServer()
    : child_(std::make_unique<Child>(std::vector<std::string>{"python3", FARO_FAULT_SERVER})) {
  const auto line = child_->read_line();
  if (line.empty()) throw std::runtime_error("fault_server.py does not start");
  ports_ = nlohmann::json::parse(line);
  write_text(ca_file(), ports_.at("ca").get<std::string>());
}

std::string FaultServer::endpoint(const std::string& port) const {
  const bool plain = port == "http" || port == "other" || port == "control";
  return fmt::format("{}://127.0.0.{}:{}", plain ? "http" : "https", port == "other" ? 2 : 1,
                     ports_.at(port).get<int>());
}

nlohmann::json FaultServer::control(const std::string& path) const {
  return nlohmann::json::parse(fetch(endpoint("control") + path));
}

nlohmann::json FaultServer::log(const std::string& path) const {
  const std::unique_ptr<char, decltype(&curl_free)> key(
      curl_easy_escape(nullptr, path.data(), static_cast<int>(path.size())), curl_free);
  return control(std::string("/log?key=") + key.get());
}

std::uint64_t FaultServer::connections() const {
  return control("/connections").get<std::uint64_t>();
}

void FaultServer::outage(double seconds) const {
  static_cast<void>(control(fmt::format("/outage?seconds={}", seconds)));
}

std::vector<std::byte> FaultServer::object() {
  std::vector<std::byte> bytes(1 << 20);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>((i * 7 + (i >> 8) * 13) % 251);
  }
  return bytes;
}

bool Radosgw::installed() {
  return std::system("command -v ceph-mon ceph-osd radosgw radosgw-admin ceph >/dev/null") == 0;
}

Radosgw::Radosgw()
    : child_(std::make_unique<Child>(
          std::vector<std::string>{"python3", FARO_RADOSGW, dir_.path().string()})) {
  const auto line = child_->read_line();
  if (std::sscanf(line.c_str(), "%d %d", &port_, &tls_port_) != 2) {
    throw std::runtime_error("radosgw.py does not start");
  }
  bucket("bucket");
}

std::string Radosgw::http() const {
  return fmt::format("http://127.0.0.1:{}", port_);
}
std::string Radosgw::https() const {
  return fmt::format("https://127.0.0.1:{}", tls_port_);
}

void Radosgw::tell(const std::string& line) {
  child_->write_line(line);
  const auto answer = child_->read_line();
  if (answer != "ok") throw std::runtime_error(line + ": " + answer);
}

void Radosgw::bucket(const std::string& name) {
  tell("bucket\t" + name);
}

void Radosgw::put(const std::string& path, std::span<const std::byte> bytes) {
  write_file(dir_.file("upload"), {bytes.begin(), bytes.end()});
  tell("put\t" + path + "\t" + dir_.file("upload"));
}

Nginx& nginx() {
  static Nginx server;
  return server;
}

FaultServer& fault_server() {
  static FaultServer server;
  return server;
}

Radosgw& radosgw() {
  static Radosgw server;
  return server;
}

void use_credentials(const std::string& key, const std::string& secret, const std::string& token) {
  setenv("AWS_ACCESS_KEY_ID", key.c_str(), 1);
  setenv("AWS_SECRET_ACCESS_KEY", secret.c_str(), 1);
  if (token.empty()) {
    unsetenv("AWS_SESSION_TOKEN");
  } else {
    setenv("AWS_SESSION_TOKEN", token.c_str(), 1);
  }
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
  options.hedge = false;
  return options;
}

Options s3_options(const std::string& endpoint) {
  auto options = quick_options();
  options.s3.endpoint = endpoint;
  options.s3.region = "us-east-1";
  options.s3.style = "path";
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
