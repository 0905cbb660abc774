#include "placement/maker.hpp"
#include "placement/ring.hpp"

namespace faro::placement {
namespace {

class HostPlace final : public Place {
 public:
  HostPlace(std::shared_ptr<Ring> ring, std::size_t number)
      : ring_(std::move(ring)), number_(number) {}
  ~HostPlace() override { ring_->give_back(number_); }
  HostPlace(const HostPlace&) = delete;
  HostPlace& operator=(const HostPlace&) = delete;
  std::span<std::byte> memory() const noexcept override { return ring_->memory(number_); }

 private:
  std::shared_ptr<Ring> ring_;
  std::size_t number_;
};

class Host final : public Maker {
 public:
  explicit Host(Options given)
      : Maker(std::move(given)),
        ring_(std::make_shared<Ring>(options().layout.batch_bytes, options().layout.batches)) {}
  ~Host() override { discard(); }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  std::string path() const override { return "made on the host"; }

 private:
  std::unique_ptr<Place> take() override {
    const auto number = ring_->take();
    if (!number) return nullptr;
    auto place = std::make_unique<HostPlace>(ring_, *number);
    memory_ = place->memory().data();
    return place;
  }
  std::byte* host_memory(std::size_t tensor) const override {
    return memory_ + options().layout.offsets[tensor];
  }

  std::shared_ptr<Ring> ring_;
  std::byte* memory_ = nullptr;  // of the batch in hand
};

}  // namespace

std::unique_ptr<Placement> make_host(Options options) {
  return std::make_unique<Host>(std::move(options));
}

}  // namespace faro::placement
