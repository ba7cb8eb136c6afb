#include "actors/node/reach.hpp"

#include <doctest/doctest.h>

using namespace novacron;

SCENARIO("a peer reaches what was made for it and nothing else") {
  auto book = node::reach{};
  book.open(1, "");
  book.open(2, "edge-1");
  book.await(3, "edge-1");
  for (const auto is_answer : {false, true}) {
    CHECK(book.permits("edge-1", {1, is_answer}));
    CHECK(book.permits("edge-2", {1, is_answer}));
    CHECK(book.permits("edge-1", {2, is_answer}));
    CHECK_FALSE(book.permits("edge-2", {2, is_answer}));
    CHECK_FALSE(book.permits("edge-2", {3, is_answer}));
    CHECK_FALSE(book.permits("edge-1", {4, is_answer}));
    CHECK(book.permits("edge-1", {3, is_answer}) == is_answer);
  }
  THEN("what was closed is out of reach, and what changed hands has changed hands") {
    book.close(2);
    CHECK_FALSE(book.permits("edge-1", {2, false}));
    book.await(3, "edge-2");
    CHECK_FALSE(book.permits("edge-1", {3, true}));
    CHECK(book.permits("edge-2", {3, true}));
  }
}
