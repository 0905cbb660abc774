#include "cuda/gather_word.hpp"

namespace faro::cuda {

void run(const Gather& work) {
  with_elements(work.type, [&]<class Make>(Make) {
    for (Word64 word = 0; word < words_of<Make>(work); ++word) {
      const auto made = gather_word<Make>(work, word);
      std::memcpy(work.to + word * sizeof(made), &made, sizeof(made));
    }
  });
}

}  // namespace faro::cuda
