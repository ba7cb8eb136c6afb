#pragma once

/// The scheduler takes orders for workloads, decides what runs where, and keeps it so.

#include "messages/registry.hpp"

#include <caf/typed_actor.hpp>

namespace novacron {

using scheduler_actor = caf::typed_actor<caf::replies_to<wire::Submit>::with<wire::Submitted>,
                                         caf::replies_to<wire::PlanRequest>::with<wire::Plan>,
                                         caf::replies_to<wire::Explain>::with<wire::Explanation>,
                                         caf::replies_to<wire::StopWorkload>::with<wire::Done>,
                                         caf::replies_to<wire::DrainNode>::with<wire::Done>,
                                         caf::replies_to<wire::ForgetNode>::with<wire::Done>,
                                         caf::replies_to<wire::WorkloadListRequest>::with<wire::WorkloadList>,
                                         caf::replies_to<wire::NodeListRequest>::with<wire::NodeList>,
                                         caf::replies_to<wire::EventsRequest>::with<wire::Events>,
                                         caf::replies_to<wire::NodeReport>::with<wire::Done>,
                                         caf::replies_to<wire::ReportChange>::with<wire::Done>,
                                         caf::replies_to<wire::TaintNode>::with<wire::Done>,
                                         caf::replies_to<wire::SetQuota>::with<wire::Done>,
                                         caf::replies_to<wire::QuotaListRequest>::with<wire::QuotaList>,
                                         caf::replies_to<wire::SetPolicy>::with<wire::Done>,
                                         caf::replies_to<wire::PolicyListRequest>::with<wire::PolicyList>,
                                         caf::replies_to<wire::Rebalance>::with<wire::Plan>,
                                         caf::replies_to<wire::ScaleFunction>::with<wire::Done>,
                                         caf::replies_to<wire::SetReservation>::with<wire::Done>,
                                         caf::replies_to<wire::ReservationListRequest>::with<wire::ReservationList>,
                                         caf::replies_to<wire::Migrate>::with<wire::Migration>,
                                         caf::replies_to<wire::CancelMigration>::with<wire::Done>,
                                         caf::replies_to<wire::MigrationListRequest>::with<wire::MigrationList>,
                                         caf::replies_to<wire::SettleMove>::with<wire::Migration>,
                                         caf::reacts_to<wire::NodeArrived>,
                                         caf::reacts_to<wire::NodeDeparted>,
                                         caf::reacts_to<wire::LedgerChanged>,
                                         caf::reacts_to<wire::LedgerLed>>;

} // namespace novacron
