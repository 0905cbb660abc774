#include <algorithm>
#include <array>
#include <map>
#include <mutex>

#include "base/error.hpp"
#include "transform/transform.hpp"

namespace faro::transform {
namespace {

struct Registry {
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<const UserTransform>> steps;
};

Registry& registry() {
  static Registry all;
  return all;
}

}  // namespace

std::shared_ptr<const UserTransform> find_registered(const std::string& name) {
  auto& all = registry();
  const std::scoped_lock lock(all.mutex);
  const auto found = all.steps.find(name);
  return found == all.steps.end() ? nullptr : found->second;
}

}  // namespace faro::transform

namespace faro {

void register_transform(const std::string& name, UserTransform transform) {
  const std::array<Step, 5> built_in{RandomResizedCrop{}, Resize{}, CentreCrop{}, HorizontalFlip{},
                                     Normalise{}};
  const bool taken = std::any_of(built_in.begin(), built_in.end(), [&](const Step& step) {
    return transform::name_of(step) == name;
  });
  check(!name.empty() && transform && !taken, ErrorCode::invalid_argument,
        "register_transform: '{}' needs a name that is not built in, and a function", name);
  auto& all = transform::registry();
  const std::scoped_lock lock(all.mutex);
  const bool added =
      all.steps.emplace(name, std::make_shared<UserTransform>(std::move(transform))).second;
  check(added, ErrorCode::invalid_argument, "register_transform: '{}' is registered already", name);
}

}  // namespace faro
