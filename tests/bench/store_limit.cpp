// The limits that the store's client is measured against: what one thread can take from an HTTP
// server, with nothing done to the bytes. `recv`: plain sockets; `curl`: libcurl's multi interface.
//
//   store_limit recv|curl CONNECTIONS PASSES [CA_FILE] < RANGES
//
// RANGES are lines "URI OFFSET LENGTH". They are read PASSES times, in this order, into a buffer of
// 1 GiB that was touched before, over CONNECTIONS connections that are kept. Prints a line of JSON
// a pass: bytes, seconds, CPU seconds. Any surprise of the server's ends the program.
#include <arpa/inet.h>
#include <curl/curl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

namespace {

struct Range {
  std::string uri;
  std::uint64_t offset, length;
};

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "store_limit: %s\n", what.c_str());
  std::exit(1);
}

/// The ranges of one pass, and where each goes: round and round in the buffer, as in an arena.
class Work {
 public:
  explicit Work(std::istream& in) : buffer_(new char[size]) {
    for (Range range; in >> range.uri >> range.offset >> range.length;) ranges_.push_back(range);
    if (ranges_.empty()) die("no ranges");
    std::memset(buffer_.get(), 1, size);
  }

  void rewind() { next_ = 0; }
  const Range* next(char*& into) {
    if (next_ == ranges_.size()) return nullptr;
    const auto& range = ranges_[next_++];
    if (at_ + range.length > size) at_ = 0;
    into = buffer_.get() + at_;
    at_ += range.length;
    return &range;
  }
  [[nodiscard]] const Range& first() const { return ranges_.front(); }
  [[nodiscard]] std::uint64_t bytes() const {
    std::uint64_t sum = 0;
    for (const auto& range : ranges_) sum += range.length;
    return sum;
  }

 private:
  static constexpr std::size_t size = std::size_t{1} << 30;
  std::vector<Range> ranges_;
  std::unique_ptr<char[]> buffer_;
  std::size_t next_ = 0, at_ = 0;
};

/// One thread over plain sockets: epoll, and recv() to where the bytes belong.
class Sockets {
 public:
  Sockets(Work& work, std::size_t connections) : work_(work), connections_(connections) {
    const auto& uri = work.first().uri;  // http://127.0.0.1:PORT/...
    const auto colon = uri.find(':', 7);
    const auto slash = uri.find('/', 7);
    if (!uri.starts_with("http://") || colon > slash) die("recv reads http://ADDRESS:PORT/ alone");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(uri.substr(colon + 1))));
    inet_pton(AF_INET, uri.substr(7, colon - 7).c_str(), &address.sin_addr);
    root_ = slash;
    for (auto& connection : connections_) {
      connection.socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (connect(connection.socket, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
        die("cannot connect");
      }
      epoll_event event{.events = EPOLLIN, .data = {.ptr = &connection}};
      epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.socket, &event);
    }
  }

  void pass() {
    for (auto& connection : connections_) send(connection);
    std::array<epoll_event, 64> events;
    while (active_ > 0) {
      const int count = epoll_wait(epoll_, events.data(), events.size(), -1);
      for (int i = 0; i < count; ++i) receive(*static_cast<Connection*>(events[i].data.ptr));
    }
  }

 private:
  struct Connection {
    int socket = -1;
    char* into = nullptr;
    std::uint64_t left = 0;
    std::array<char, 4096> head;
    std::size_t head_size = 0;
    bool in_body = false;
  };

  void send(Connection& connection) {
    const auto* range = work_.next(connection.into);
    if (range == nullptr) return;
    const auto request =
        "GET " + range->uri.substr(root_) +
        " HTTP/1.1\r\nHost: limit\r\nRange: bytes=" + std::to_string(range->offset) + '-' +
        std::to_string(range->offset + range->length - 1) + "\r\n\r\n";
    if (write(connection.socket, request.data(), request.size()) < 0) die("cannot send");
    connection.left = range->length;
    connection.head_size = 0;
    connection.in_body = false;
    ++active_;
  }

  void receive(Connection& connection) {
    if (!connection.in_body) {
      receive_head(connection);
    } else {
      const auto count = recv(connection.socket, connection.into, connection.left, MSG_DONTWAIT);
      if (count < 0 && errno == EAGAIN) return;
      if (count <= 0) die("the server closed a connection");
      connection.into += count;
      connection.left -= static_cast<std::uint64_t>(count);
    }
    if (connection.in_body && connection.left == 0) {
      --active_;
      send(connection);
    }
  }

  void receive_head(Connection& connection) {
    auto& head = connection.head;
    const auto count = recv(connection.socket, head.data() + connection.head_size,
                            head.size() - connection.head_size, MSG_DONTWAIT);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) die("the server closed a connection");
    connection.head_size += static_cast<std::size_t>(count);
    const std::string_view text(head.data(), connection.head_size);
    const auto end = text.find("\r\n\r\n");
    if (end == text.npos) return;
    if (!text.starts_with("HTTP/1.1 206")) die(std::string(text.substr(0, text.find('\r'))));
    const auto body = text.substr(end + 4);
    std::memcpy(connection.into, body.data(), body.size());
    connection.into += body.size();
    connection.left -= body.size();
    connection.in_body = true;
  }

  Work& work_;
  std::vector<Connection> connections_;
  std::size_t root_ = 0;
  std::size_t active_ = 0;
  int epoll_ = epoll_create1(EPOLL_CLOEXEC);
};

/// One thread over libcurl: what anybody would write.
class Curl {
 public:
  Curl(Work& work, std::size_t connections, const char* ca_file)
      : work_(work), transfers_(connections) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
    multi_ = curl_multi_init();
    curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(connections));
    for (auto& transfer : transfers_) {
      transfer.easy = curl_easy_init();
      curl_easy_setopt(transfer.easy, CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
      curl_easy_setopt(transfer.easy, CURLOPT_BUFFERSIZE, 256L * 1024);
      curl_easy_setopt(transfer.easy, CURLOPT_WRITEFUNCTION, &on_body);
      curl_easy_setopt(transfer.easy, CURLOPT_WRITEDATA, &transfer);
      curl_easy_setopt(transfer.easy, CURLOPT_PRIVATE, &transfer);
      if (ca_file != nullptr) curl_easy_setopt(transfer.easy, CURLOPT_CAINFO, ca_file);
    }
  }

  void pass() {
    for (auto& transfer : transfers_) send(transfer);
    while (active_ > 0) {
      int running = 0;
      curl_multi_perform(multi_, &running);
      int queued = 0;
      while (CURLMsg* message = curl_multi_info_read(multi_, &queued)) {
        Transfer* transfer = nullptr;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        if (message->data.result != CURLE_OK) die(curl_easy_strerror(message->data.result));
        if (transfer->left != 0) die("a body is too short");
        curl_multi_remove_handle(multi_, transfer->easy);
        --active_;
        send(*transfer);
      }
      if (active_ > 0) curl_multi_poll(multi_, nullptr, 0, 1000, nullptr);
    }
  }

 private:
  struct Transfer {
    CURL* easy = nullptr;
    char* into = nullptr;
    std::uint64_t left = 0;
  };

  static std::size_t on_body(char* data, std::size_t, std::size_t size, void* opaque) {
    auto& transfer = *static_cast<Transfer*>(opaque);
    if (size > transfer.left) die("a body is too long");
    std::memcpy(transfer.into, data, size);
    transfer.into += size;
    transfer.left -= size;
    return size;
  }

  void send(Transfer& transfer) {
    const auto* range = work_.next(transfer.into);
    if (range == nullptr) return;
    const auto bytes =
        std::to_string(range->offset) + '-' + std::to_string(range->offset + range->length - 1);
    curl_easy_setopt(transfer.easy, CURLOPT_URL, range->uri.c_str());
    curl_easy_setopt(transfer.easy, CURLOPT_RANGE, bytes.c_str());
    transfer.left = range->length;
    curl_multi_add_handle(multi_, transfer.easy);
    ++active_;
  }

  Work& work_;
  CURLM* multi_ = nullptr;
  std::vector<Transfer> transfers_;
  std::size_t active_ = 0;
};

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

template <class Reader>
void measure(Work& work, Reader&& reader, int passes) {
  for (; passes > 0; --passes) {
    using Clock = std::chrono::steady_clock;
    work.rewind();
    const auto begin = Clock::now();
    const double cpu = cpu_seconds();
    reader.pass();
    std::printf(R"({"bytes": %llu, "seconds": %.6f, "cpu_seconds": %.6f})"
                "\n",
                static_cast<unsigned long long>(work.bytes()),
                std::chrono::duration<double>(Clock::now() - begin).count(), cpu_seconds() - cpu);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) die("usage: store_limit recv|curl CONNECTIONS PASSES [CA_FILE] < RANGES");
  const std::string_view how(argv[1]);
  const auto connections = static_cast<std::size_t>(std::max(std::atoi(argv[2]), 1));
  const int passes = std::atoi(argv[3]);
  Work work(std::cin);
  if (how == "recv") {
    measure(work, Sockets(work, connections), passes);
  } else if (how == "curl") {
    measure(work, Curl(work, connections, argc > 4 ? argv[4] : nullptr), passes);
  } else {
    die("recv or curl?");
  }
}
