#pragma once

/// The list of everything that may travel between nodes: message, who may send it to a node from outside.
///
/// This is the one table of trust: what a role is not named for here is refused (default deny). Roles are
/// `cloud` (cloud and hybrid nodes), `worker` (edge, gpu, storage, gateway nodes), `person` (a client certificate
/// or the node's own unix socket). `nobody` marks answers and news inside a node.
///
/// Append at the end of a group; names are the wire identity, so renaming is a protocol change.

// clang-format off
#define NOVACRON_MESSAGES(X)                               \
  /* node */                                               \
  X(Hello,                  cloud | worker)                \
  X(Challenge,              nobody)                        \
  X(Proof,                  cloud | worker)                \
  X(Welcome,                nobody)                        \
  X(Resolve,                cloud | worker)                \
  X(Beat,                   cloud | worker)                \
  X(NodeArrived,            nobody)                        \
  X(NodeDeparted,           nobody)                        \
  X(HealthRequest,          cloud | worker | person)       \
  X(Health,                 nobody)                        \
  X(LinkListRequest,        cloud | person)                \
  X(LinkList,               nobody)                        \
  X(Shutdown,               person)                        \
  /* agent */                                              \
  X(Assign,                 cloud)                         \
  X(AssignChange,           cloud)                         \
  X(NodeReport,             worker | cloud)                \
  X(ReportChange,           worker | cloud)                \
  X(ReportRequest,          cloud | person)                \
  X(LogRequest,             cloud | person)                \
  X(LogChunk,               nobody)                        \
  X(ExecStart,              cloud | person)                \
  X(ExecSession,            nobody)                        \
  X(ExecExchange,           cloud | person)                \
  X(ExecOutput,             nobody)                        \
  X(PauseInstance,          cloud | person)                \
  X(ResizeInstance,         cloud | person)                \
  X(ConvertInstance,        cloud | person)                \
  X(Converted,              nobody)                        \
  X(RestartInstance,        cloud | person)                \
  X(ImageImport,            cloud | person)                \
  X(Image,                  nobody)                        \
  X(ImageListRequest,       cloud | worker | person)       \
  X(ImageList,              nobody)                        \
  X(ImageDelete,            cloud | person)                \
  X(BlobRequest,            cloud | worker)                \
  X(Blob,                   nobody)                        \
  X(ImageLookup,            cloud | worker | person)       \
  X(ImageManifest,          nobody)                        \
  X(ImageEnsure,            cloud | person)                \
  X(TemplateCreate,         cloud | person)                \
  X(Template,               nobody)                        \
  X(TemplateListRequest,    cloud | person)                \
  X(TemplateList,           nobody)                        \
  X(TemplateDelete,         cloud | person)                \
  X(CheckpointInstance,     cloud | person)                \
  X(Checkpoint,             nobody)                        \
  X(CheckpointListRequest,  cloud | person)                \
  X(CheckpointList,         nobody)                        \
  X(CheckpointDelete,       cloud | person)                \
  X(RestoreInstance,        cloud | person)                \
  X(Restored,               nobody)                        \
  /* scheduler */                                          \
  X(Submit,                 cloud | person)                \
  X(Submitted,              nobody)                        \
  X(PlanRequest,            cloud | person)                \
  X(Plan,                   nobody)                        \
  X(Explain,                cloud | person)                \
  X(Explanation,            nobody)                        \
  X(StopWorkload,           cloud | person)                \
  X(DrainNode,              cloud | person)                \
  X(ForgetNode,             cloud | person)                \
  X(WorkloadListRequest,    cloud | worker | person)       \
  X(WorkloadList,           nobody)                        \
  X(NodeListRequest,        cloud | worker | person)       \
  X(NodeList,               nobody)                        \
  X(EventsRequest,          cloud | person)                \
  X(Events,                 nobody)                        \
  X(TaintNode,              cloud | person)                \
  X(SetQuota,               cloud | person)                \
  X(QuotaListRequest,       cloud | person)                \
  X(QuotaList,              nobody)                        \
  X(SetPolicy,              cloud | person)                \
  X(PolicyListRequest,      cloud | person)                \
  X(PolicyList,             nobody)                        \
  X(Rebalance,              cloud | person)                \
  X(SetReservation,         cloud | person)                \
  X(ReservationListRequest, cloud | person)                \
  X(ReservationList,        nobody)                        \
  X(Migrate,                cloud | person)                \
  X(Migration,              nobody)                        \
  X(CancelMigration,        cloud | person)                \
  X(MigrationListRequest,   cloud | person)                \
  X(MigrationList,          nobody)                        \
  X(SettleMove,             cloud | worker)                \
  /* ledger */                                             \
  X(LedgerCommand,          cloud)                         \
  X(LedgerApplied,          nobody)                        \
  X(LedgerRead,             cloud | person)                \
  X(LedgerEntries,          nobody)                        \
  X(LedgerWatch,            nobody)                        \
  X(LedgerChanged,          nobody)                        \
  X(LedgerLed,              nobody)                        \
  X(LedgerStatusRequest,    cloud | person)                \
  X(LedgerStatus,           nobody)                        \
  X(LedgerAdd,              cloud | person)                \
  X(LedgerRemove,           cloud | person)                \
  X(LedgerSnapshotRequest,  person)                        \
  X(LedgerBackup,           person)                        \
  X(LedgerRestore,          person)                        \
  /* cache */                                              \
  X(CacheGet,               nobody)                        \
  X(CacheValue,             nobody)                        \
  X(CachePut,               nobody)                        \
  X(CacheErase,             nobody)                        \
  X(CacheStatusRequest,     cloud | person)                \
  X(CacheStatus,            nobody)                        \
  /* trust */                                              \
  X(TokenCreate,            person)                        \
  X(JoinToken,              nobody)                        \
  X(TokenListRequest,       person)                        \
  X(TokenList,              nobody)                        \
  X(CertificateRequest,     cloud)                         \
  X(Certificate,            nobody)                        \
  X(CertificateRevoke,      person)                        \
  X(DenyList,               cloud)                         \
  X(CertificateRenewal,     cloud | worker)                \
  /* observer */                                           \
  X(ActorListRequest,       cloud | person)                \
  X(ActorList,              nobody)                        \
  X(Ask,                    cloud | person)                \
  X(Answer,                 nobody)                        \
  X(TraceRequest,           cloud | person)                \
  X(Trace,                  nobody)                        \
  X(SetLogLevel,            cloud | person)                \
  X(MetricsRequest,         cloud | person)                \
  X(Metrics,                nobody)                        \
  /* functions */                                          \
  X(Invoke,                 cloud | person)                \
  X(Invoked,                nobody)                        \
  X(CallInstance,           cloud)                         \
  X(ScaleFunction,          cloud)                         \
  X(FunctionListRequest,    cloud | person)                \
  X(FunctionList,           nobody)                        \
  X(Done,                   nobody)
// clang-format on
