#pragma once

/// The agent runs what its node was assigned, and shows it.

#include "messages/registry.hpp"

#include <caf/typed_actor.hpp>

namespace novacron {

using agent_actor = caf::typed_actor<caf::replies_to<wire::Assign>::with<wire::Done>,
                                     caf::replies_to<wire::AssignChange>::with<wire::Done>,
                                     caf::replies_to<wire::ReportRequest>::with<wire::NodeReport>,
                                     caf::replies_to<wire::LogRequest>::with<wire::LogChunk>,
                                     caf::replies_to<wire::ExecStart>::with<wire::ExecSession>,
                                     caf::replies_to<wire::ExecExchange>::with<wire::ExecOutput>,
                                     caf::replies_to<wire::PauseInstance>::with<wire::Done>,
                                     caf::replies_to<wire::ResizeInstance>::with<wire::Done>,
                                     caf::replies_to<wire::RestartInstance>::with<wire::Done>,
                                     caf::replies_to<wire::ConvertInstance>::with<wire::Converted>,
                                     caf::replies_to<wire::CheckpointInstance>::with<wire::Checkpoint>,
                                     caf::replies_to<wire::RestoreInstance>::with<wire::Restored>,
                                     caf::replies_to<wire::CallInstance>::with<wire::Invoked>,
                                     caf::reacts_to<wire::NodeArrived>,
                                     caf::reacts_to<wire::NodeDeparted>>;

/// The image store of a node.
using image_actor = caf::typed_actor<caf::replies_to<wire::ImageImport>::with<wire::Image>,
                                     caf::replies_to<wire::ImageEnsure>::with<wire::Image>,
                                     caf::replies_to<wire::ImageListRequest>::with<wire::ImageList>,
                                     caf::replies_to<wire::ImageDelete>::with<wire::Done>,
                                     caf::replies_to<wire::ImageLookup>::with<wire::ImageManifest>,
                                     caf::replies_to<wire::BlobRequest>::with<wire::Blob>>;

/// The templates from which a node's machines begin.
using template_actor = caf::typed_actor<caf::replies_to<wire::TemplateCreate>::with<wire::Template>,
                                        caf::replies_to<wire::TemplateListRequest>::with<wire::TemplateList>,
                                        caf::replies_to<wire::TemplateDelete>::with<wire::Done>>;

/// The checkpoints that lie on a node.
using checkpoint_actor = caf::typed_actor<caf::replies_to<wire::CheckpointListRequest>::with<wire::CheckpointList>,
                                          caf::replies_to<wire::CheckpointDelete>::with<wire::Done>>;

} // namespace novacron
