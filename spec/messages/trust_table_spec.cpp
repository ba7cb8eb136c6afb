#include "messages/language.hpp"
#include "messages/registry.hpp"

#include <caf/all.hpp>

#include <doctest/doctest.h>

#include <algorithm>

using namespace novacron;

namespace {

std::vector<std::string> allowed_to(sender who) {
  auto names = std::vector<std::string>{};
  for (const auto& x : message_names())
    if (permitted(x, who))
      names.push_back(x);
  std::ranges::sort(names);
  return names;
}

} // namespace

SCENARIO("each role is one kind of sender") {
  for (const auto* role : {"cloud", "hybrid"})
    CHECK(sender_of_role(role) == cloud);
  for (const auto* role : {"edge", "gpu", "storage", "gateway"})
    CHECK(sender_of_role(role) == worker);
  CHECK(sender_of_role("person") == person);
  for (const auto* role : {"", "Cloud", "cloud ", "root", "nobody"})
    CHECK(sender_of_role(role) == nobody);
}

SCENARIO("what the table does not allow is refused") {
  for (const auto& x : message_names()) {
    CAPTURE(x);
    CHECK_FALSE(permitted(x, nobody));
  }
  for (const auto who : {cloud, worker, person})
    for (const auto* x : {"", "NoSuchMessage", "beat", "Beat ", "google.protobuf.Any", "novacron.v2.Beat"}) {
      CAPTURE(x);
      CHECK_FALSE(permitted(x, who));
    }
}

SCENARIO("the long name of a message is allowed exactly when the short one is") {
  for (const auto& x : message_names())
    for (const auto who : {cloud, worker, person})
      CHECK(permitted(x, who) == permitted("novacron.v1." + x, who));
}

SCENARIO("a worker speaks in its own name only, a controller in anybody's") {
  auto said = [](auto message) { return caf::make_message(std::move(message)); };
  auto report = v1::NodeReport{};
  report.set_node("edge-1");
  auto renewal = v1::CertificateRenewal{};
  renewal.set_name("edge-1");
  renewal.set_role("edge");
  auto change = v1::ReportChange{};
  change.set_node("edge-1");
  auto settle = v1::SettleMove{};
  settle.set_node("edge-1");
  for (const auto& x : {said(report), said(change), said(renewal), said(settle)}) {
    CHECK(permitted(x.content(), worker, {"edge-1", "edge"}));
    CHECK_FALSE(permitted(x.content(), worker, {"edge-2", "edge"}));
    CHECK_FALSE(permitted(x.content(), nobody, {"edge-1", "edge"}));
  }
  CHECK_FALSE(permitted(said(renewal).content(), worker, {"edge-1", "gpu"}));
  CHECK(permitted(said(v1::Beat{}).content(), worker, {"edge-1", "edge"}) == permitted("Beat", worker));
  CHECK(permitted(said(v1::CertificateRequest{}).content(), cloud, {"cloud-1", "cloud"}) == permitted("CertificateRequest", cloud));
  CHECK_FALSE(permitted(said(std::string{"Beat"}).content(), cloud, {"cloud-1", "cloud"}));
}

// A worker stands in the field, where somebody may open its case: what it may say is spelled out here once more, so
// that giving it a new right takes two hands.
SCENARIO("a worker may introduce itself, report, ask and fetch, and nothing else") {
  CHECK(allowed_to(worker) == std::vector<std::string>{"Beat", "BlobRequest", "CertificateRenewal", "HealthRequest",
                                                       "Hello", "ImageListRequest", "ImageLookup", "NodeListRequest",
                                                       "NodeReport", "Proof", "ReportChange", "Resolve", "SettleMove",
                                                       "WorkloadListRequest"});
}

SCENARIO("a person gives orders, and cannot pass for a node") {
  for (const auto* x :
       {"Submit", "StopWorkload", "DrainNode", "Ask", "TokenCreate", "LedgerBackup", "Shutdown", "Invoke"}) {
    CAPTURE(x);
    CHECK(permitted(x, person));
  }
  for (const auto* x :
       {"Hello", "Proof", "Beat", "Assign", "AssignChange", "NodeReport", "ReportChange", "LedgerCommand",
        "CertificateRequest", "DenyList", "CallInstance", "ScaleFunction", "SettleMove"}) {
    CAPTURE(x);
    CHECK_FALSE(permitted(x, person));
  }
}

SCENARIO("answers and news are never taken from outside") {
  for (const auto* x : {"Challenge", "Welcome", "NodeArrived", "NodeDeparted", "LedgerChanged", "LedgerLed", "LedgerApplied",
                        "Certificate", "JoinToken", "Done"})
    for (const auto who : {cloud, worker, person}) {
      CAPTURE(x);
      CHECK_FALSE(permitted(x, who));
    }
}
