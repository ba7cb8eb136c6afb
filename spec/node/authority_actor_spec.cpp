#include "actors/node/authority_actor.hpp"

#include "spec/node/small_ledger.hpp"
#include "spec/stage.hpp"

#include <doctest/doctest.h>

using namespace novacron;
using namespace std::chrono_literals;

namespace {

const auto noon = host::wall_time{} + 1'800'000'000s;

struct fabric {
  spec::stage stage;
  std::shared_ptr<spec::small_ledger_book> book = std::make_shared<spec::small_ledger_book>();
  ledger_actor ledger = stage.system.spawn(spec::small_ledger, book);
  host::key_and_certificate authority = host::make_authority("demo", noon);
  std::map<std::string, std::vector<wire::DenyList>> told;

  authority_actor open(const std::string& client,
                       std::shared_ptr<host::deny_list> denied = std::make_shared<host::deny_list>()) {
    auto actor = node::spawn_authority(
        stage.system, {},
        {.authority = authority,
         .ledger = ledger,
         .client = client,
         .denied = std::move(denied),
         .tell = [this](const std::string& node, const wire::DenyList& x) { told[node].push_back(x); },
         .now = [this] { return noon + std::chrono::duration_cast<host::wall_time::duration>(stage.elapsed()); }});
    stage.settle();
    return actor;
  }

  std::string token(const authority_actor& from, const std::string& name, const std::string& role) {
    auto wish = wire::TokenCreate{};
    wish.set_name(name);
    wish.set_role(role);
    const auto made = stage.ask<wire::JoinToken>(from, wish);
    REQUIRE(made);
    return made->token();
  }
};

wire::CertificateRequest with(const std::string& token, const std::string& name, const std::string& role,
                              const std::string& key = host::make_key()) {
  auto made = wire::CertificateRequest{};
  made.set_token(token);
  made.set_name(name);
  made.set_role(role);
  made.set_request(host::make_request(key, name, role));
  return made;
}

} // namespace

SCENARIO("a node joins with its token, and nobody does so again") {
  auto demo = fabric{};
  const auto one = demo.open("a");
  const auto other = demo.open("b");
  const auto asked = with(demo.token(one, "edge-1", "edge"), "edge-1", "edge");
  WHEN("it comes with the token it was given") {
    const auto granted = demo.stage.ask<wire::Certificate>(one, asked);
    REQUIRE(granted);
    const auto who = host::judge(granted->certificate(), demo.authority.certificate, noon);
    CHECK(who.why == host::refusal::none);
    CHECK(who.who.name == "edge-1");
    CHECK(granted->authority() == demo.authority.certificate);
    CHECK(granted->authority_key().empty());
    THEN("the same token is refused everywhere from then on") {
      for (const auto& at : {one, other}) {
        const auto again = demo.stage.ask<wire::Certificate>(at, asked);
        REQUIRE_FALSE(again);
        CHECK(explain(again.error()).kind == fault::denied);
        CHECK(explain(again.error()).text.find("used already") != std::string::npos);
      }
      CHECK(demo.stage.ask<wire::TokenList>(one, wire::TokenListRequest{})->tokens(0).used());
      CHECK(demo.stage.ask<wire::TokenList>(one, wire::TokenListRequest{})->tokens(0).hash().empty());
    }
  }
  WHEN("two come with it at the same time, to two controllers") {
    auto first = demo.stage.audience->request(one, caf::infinite, asked);
    auto second = demo.stage.audience->request(other, caf::infinite, asked);
    demo.stage.settle();
    auto granted = 0;
    auto refused = 0;
    auto in = [&](const wire::Certificate&) { ++granted; };
    auto out = [&](const caf::error&) { ++refused; };
    first.receive(in, out);
    second.receive(in, out);
    CHECK(granted == 1);
    CHECK(refused == 1);
  }
  WHEN("it is another node, has another role, or comes too late") {
    auto denied = [&](const wire::CertificateRequest& x) {
      const auto answer = demo.stage.ask<wire::Certificate>(one, x);
      return !answer && explain(answer.error()).kind == fault::denied;
    };
    CHECK(denied(with(asked.token(), "edge-2", "edge")));
    CHECK(denied(with(asked.token(), "edge-1", "gpu")));
    CHECK(denied(with("", "edge-1", "edge")));
    CHECK(denied(with("nonsense", "edge-1", "edge")));
    THEN("the token is still good for the one it was made for, until its end") {
      demo.stage.pass(15min - 1s, 1min);
      CHECK(demo.stage.ask<wire::Certificate>(one, asked));
    }
    THEN("but not after it") {
      demo.stage.pass(15min, 1min);
      CHECK(denied(asked));
    }
  }
  WHEN("its request is broken") {
    auto broken = asked;
    broken.set_request(host::make_request(host::make_key(), "edge-2", "edge"));
    const auto answer = demo.stage.ask<wire::Certificate>(one, broken);
    REQUIRE_FALSE(answer);
    CHECK(explain(answer.error()).kind == fault::bad_request);
    THEN("the token is not used up") {
      CHECK(demo.stage.ask<wire::Certificate>(one, asked));
    }
  }
  WHEN("the ledger cannot note the use") {
    demo.book->here = false;
    CHECK_FALSE(demo.stage.ask<wire::Certificate>(one, asked));
    demo.book->here = true;
    CHECK(demo.stage.ask<wire::Certificate>(one, asked));
  }
  WHEN("it is a controller") {
    const auto granted =
        demo.stage.ask<wire::Certificate>(one, with(demo.token(one, "cloud-2", "cloud"), "cloud-2", "cloud"));
    REQUIRE(granted);
    THEN("it can let nodes in itself") {
      CHECK(granted->authority_key() == demo.authority.key);
    }
  }
}

SCENARIO("certificates are renewed for whom the gate let through") {
  auto demo = fabric{};
  const auto authority = demo.open("a");
  auto asked = wire::CertificateRenewal{};
  asked.set_name("edge-1");
  asked.set_role("edge");
  asked.set_request(host::make_request(host::make_key(), "edge-1", "edge"));
  const auto granted = demo.stage.ask<wire::Certificate>(authority, asked);
  REQUIRE(granted);
  CHECK(host::read_identity(granted->certificate())->not_after == noon + 24h);
  asked.set_role("cloud");
  CHECK_FALSE(demo.stage.ask<wire::Certificate>(authority, asked));
}

SCENARIO("a denied certificate is denied on every node") {
  auto demo = fabric{};
  auto here = std::make_shared<host::deny_list>();
  auto there = std::make_shared<host::deny_list>();
  const auto one = demo.open("a", here);
  const auto other = demo.open("b", there);
  auto arrived = wire::NodeArrived{};
  arrived.mutable_facts()->set_name("edge-1");
  demo.stage.audience->send(one, arrived);
  demo.stage.settle();
  auto wish = wire::CertificateRevoke{};
  wish.set_serial("00ff");
  CHECK(demo.stage.ask<wire::Done>(one, wish)->index() == 1);
  demo.stage.settle();
  CHECK(here->contains("00ff"));
  CHECK(there->contains("00ff"));
  REQUIRE_FALSE(demo.told["edge-1"].empty());
  CHECK(demo.told["edge-1"].back().serials(0) == "00ff");
  THEN("a node that comes later is told, too") {
    arrived.mutable_facts()->set_name("edge-2");
    demo.stage.audience->send(one, arrived);
    demo.stage.settle();
    CHECK(demo.told["edge-2"].back().serials_size() == 1);
  }
  THEN("news that got lost are found within seconds") {
    demo.book->records["deny/aa"] = {"", 9};
    demo.stage.pass(15s);
    CHECK(here->contains("aa"));
  }
  THEN("what is no serial is refused") {
    for (const auto* wrong : {"", "0", "XY", "00FF", "../../etc"}) {
      wish.set_serial(wrong);
      CHECK_FALSE(demo.stage.ask<wire::Done>(one, wish));
    }
  }
}
