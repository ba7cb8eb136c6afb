#include "actors/shell/commands.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace novacron::shell {
namespace {

using enum performer;

/// Parts that several commands share, and the commands. Made when asked for, so that a table may be made at any time.
struct catalogue {
  argument one_node{"NODE", kind::node};
  argument one_workload{"WORKLOAD", kind::workload};
  argument one_instance{"INSTANCE", kind::instance};
  argument one_actor{"ACTOR", kind::actor};
  argument one_file{"FILE", kind::file};
  flag follow{"follow", 'f', "", "go on with what comes, until Ctrl-C"};
  flag tail{"tail", 0, "LINES", "begin with this many last lines (default: all)", kind::number};
  flag on_node{"node", 0, "NODE", "only of this node", kind::node};
  flag wait_flag{"wait", 'w', "", "wait until it is so (see --timeout; 60s unless given)"};

  std::vector<std::string> log_levels{"trace", "debug", "info", "warn", "error"};
  std::vector<std::string> roles{"cloud", "hybrid", "edge", "gpu", "storage", "gateway"};

  std::vector<flag> exec_flags{{"interactive", 'i', "", "give it our input"},
                               {"tty", 't', "", "give it a terminal"},
                               {"env", 'e', "NAME=VALUE", "set a variable (may be repeated)"}};

  std::vector<command> running_commands() const {
    return {
        {.path = "run",
         .summary = "submit the workloads of a file",
         .arguments = {one_file},
         .flags = {wait_flag, {"detach", 'd', "", "do not wait, not even on a terminal"}},
         .examples = {{"run web.toml", "submit, and watch it start when on a terminal"},
                      {"run --wait batch.toml", "come back when it runs, or has completed"},
                      {"run - < web.toml", "from standard input; TOML or JSON"}},
         .more =
             "Submitting the same file again changes nothing; an edited file changes the workload. With --wait the\n"
             "exit code is 0 when all instances run (batch: have completed), 1 when one failed.",
         .see_also = {"plan", "ps", "workload show"}},
        {.path = "plan",
         .summary = "show what `run` would do, and why, without doing it",
         .arguments = {one_file},
         .examples = {{"plan web.toml", "placements, moves, and why-not per node"}},
         .more = "The exit code is 4 when the workload cannot be placed.",
         .see_also = {"run", "explain placement"}},
        {.path = "ps",
         .summary = "list the instances that run, or should",
         .arguments = {{"WORKLOAD", kind::workload, true}},
         .flags = {on_node, {"all", 'a', "", "also those that have ended"}},
         .examples = {{"ps", "all instances"}, {"ps web -o wide", "with epochs, addresses and usage"}},
         .see_also = {"workload list", "instance show", "top"}},
        {.path = "logs",
         .summary = "print what an instance wrote",
         .arguments = {one_instance},
         .flags = {follow, tail},
         .examples = {{"logs web.0", "all that is kept"},
                      {"logs -f --tail=20 web.0", "the last 20 lines and all new ones"}},
         .see_also = {"exec", "events"}},
        {.path = "exec",
         .summary = "run a command inside an instance",
         .arguments = {one_instance, {.name = "COMMAND", .rest = true}},
         .flags = exec_flags,
         .examples = {{"exec web.0 cat /etc/hostname", "its exit code becomes ours"},
                      {"exec -it web.0 sh", "an interactive shell"}},
         .see_also = {"logs"}},
        {.path = "stop",
         .summary = "stop workloads; their records stay",
         .arguments = {one_workload, {.name = "MORE", .is = kind::workload, .optional = true, .many = true}},
         .flags = {wait_flag},
         .examples = {{"stop web", "SIGTERM, and SIGKILL after the workload's stop_grace"}},
         .see_also = {"delete", "run"}},
        {.path = "delete",
         .summary = "stop workloads and forget them",
         .arguments = {one_workload, {.name = "MORE", .is = kind::workload, .optional = true, .many = true}},
         .flags = {wait_flag},
         .examples = {{"delete web", "nothing of it stays"}},
         .see_also = {"stop"}},
        {.path = "drain",
         .summary = "move everything off a node and give it nothing new",
         .arguments = {one_node},
         .flags = {wait_flag},
         .examples = {{"drain edge-1 --wait", "come back when nothing runs there any more"}},
         .see_also = {"undrain", "node show"}},
        {.path = "undrain",
         .summary = "let a drained node work again",
         .arguments = {one_node},
         .examples = {{"undrain edge-1", ""}},
         .see_also = {"drain"}},
        {.path = "top",
         .summary = "nodes and instances by what they use, refreshed",
         .flags = {{"interval", 0, "TIME", "time between two looks (default 2s)", kind::duration},
                   {"count", 'n', "N", "stop after so many looks (default: 1 unless on a terminal)", kind::number}},
         .examples = {{"top", "until Ctrl-C"}, {"top -n 1", "one look"}},
         .see_also = {"ps", "node list"}},
        {.path = "events",
         .summary = "what happened in the fabric",
         .flags = {follow, {"after", 0, "NUMBER", "only events after this one", kind::number}},
         .examples = {{"events -f", "as they happen"}, {"events -f -o json", "one JSON object per line"}},
         .see_also = {"logs", "actor trace"}},
        {.path = "explain placement",
         .summary = "why a workload's instances are where they are, or nowhere",
         .arguments = {one_workload},
         .examples = {{"explain placement web", "scores of each node and what spoke against the others"}},
         .see_also = {"plan", "node list"}},
        {.path = "watch",
         .summary = "repeat a command every N seconds",
         .arguments = {{"SECONDS"}, {.name = "COMMAND", .is = kind::command, .rest = true}},
         .flags = {{"count", 'n', "N", "stop after so many times", kind::number}},
         .examples = {{"watch 2 ps", "until Ctrl-C"}, {"watch 0.5 node list -o wide", ""}},
         .see_also = {"top", "events"}},
        {.path = "ask",
         .summary = "send any message to any actor and print its answer",
         .arguments = {one_actor, {"MESSAGE", kind::message}, {"JSON", kind::json, true}},
         .examples = {{"ask cloud-1/scheduler NodeListRequest '{}'", "what it would tell another node"},
                      {"ask edge-1/agent ReportRequest", "an empty message needs no JSON"}},
         .more =
             "`novacron actor list` names the actors, `novacron actor show ACTOR` what each accepts, and in the shell\n"
             "Tab completes actors, messages and the fields of a message.",
         .see_also = {"actor list", "actor show", "actor trace"}},
    };
  }

  std::vector<command> noun_commands() const {
    return {
        {.path = "node list",
         .summary = "list the nodes of the fabric",
         .examples = {{"node list -o wide", ""}},
         .see_also = {"node show", "top"}},
        {.path = "node show",
         .summary = "show one node",
         .arguments = {one_node},
         .examples = {{"node show edge-1", ""}},
         .see_also = {"node list", "node links"}},
        {.path = "node drain",
         .summary = "same as `drain`",
         .arguments = {one_node},
         .flags = {wait_flag},
         .examples = {{"node drain edge-1", ""}},
         .see_also = {"drain"}},
        {.path = "node undrain",
         .summary = "same as `undrain`",
         .arguments = {one_node},
         .examples = {{"node undrain edge-1", ""}},
         .see_also = {"undrain"}},
        {.path = "node delete",
         .summary = "forget a node that will not come back",
         .arguments = {one_node},
         .examples = {{"node delete edge-1", "what it ran is placed again, `on_disconnect = \"keep\"` included"}},
         .more = "Only for a node that is gone for good: if it still runs, its instances are stopped when it returns.",
         .see_also = {"drain"}},
        {.path = "node links",
         .summary = "show the links between nodes",
         .arguments = {{"NODE", kind::node, true}},
         .examples = {{"node links cloud-1", "as this node sees them"}},
         .see_also = {"node list"}},

        {.path = "workload list",
         .summary = "list the workloads",
         .examples = {{"workload list", ""}},
         .see_also = {"ps", "workload show"}},
        {.path = "workload show",
         .summary = "show one workload and its instances",
         .arguments = {one_workload},
         .examples = {{"workload show web", ""}, {"workload show web -o json", "the whole record"}},
         .see_also = {"explain placement"}},
        {.path = "workload create",
         .summary = "same as `run`",
         .arguments = {one_file},
         .flags = {wait_flag, {"detach", 'd', "", "do not wait, not even on a terminal"}},
         .examples = {{"workload create web.toml", ""}},
         .see_also = {"run"}},
        {.path = "workload plan",
         .summary = "same as `plan`",
         .arguments = {one_file},
         .examples = {{"workload plan web.toml", ""}},
         .see_also = {"plan"}},
        {.path = "workload stop",
         .summary = "same as `stop`",
         .arguments = {one_workload, {.name = "MORE", .is = kind::workload, .optional = true, .many = true}},
         .flags = {wait_flag},
         .examples = {{"workload stop web", ""}},
         .see_also = {"stop"}},
        {.path = "workload delete",
         .summary = "same as `delete`",
         .arguments = {one_workload, {.name = "MORE", .is = kind::workload, .optional = true, .many = true}},
         .flags = {wait_flag},
         .examples = {{"workload delete web", ""}},
         .see_also = {"delete"}},
        {.path = "workload explain",
         .summary = "same as `explain placement`",
         .arguments = {one_workload},
         .examples = {{"workload explain web", ""}},
         .see_also = {"explain placement"}},

        {.path = "instance list",
         .summary = "same as `ps`",
         .arguments = {{"WORKLOAD", kind::workload, true}},
         .flags = {on_node, {"all", 'a', "", "also those that have ended"}},
         .examples = {{"instance list web", ""}},
         .see_also = {"ps"}},
        {.path = "instance show",
         .summary = "show one instance",
         .arguments = {one_instance},
         .examples = {{"instance show web.0", ""}},
         .see_also = {"ps", "logs"}},
        {.path = "instance pause",
         .summary = "freeze an instance",
         .arguments = {one_instance},
         .examples = {{"instance pause web.0", ""}},
         .see_also = {"instance resume"}},
        {.path = "instance resume",
         .summary = "thaw a paused instance",
         .arguments = {one_instance},
         .examples = {{"instance resume web.0", ""}},
         .see_also = {"instance pause"}},
        {.path = "instance restart",
         .summary = "restart an instance where it is",
         .arguments = {one_instance},
         .examples = {{"instance restart web.0", ""}},
         .see_also = {"logs"}},
        {.path = "instance resize",
         .summary = "change cpu and memory of an instance while it runs",
         .arguments = {one_instance},
         .flags = {{"cpu", 0, "CORES", "such as 0.5"}, {"memory", 0, "SIZE", "such as 64MiB"}},
         .examples = {{"instance resize web.0 --memory=128MiB", ""}},
         .see_also = {"instance show"}},
        {.path = "instance logs",
         .summary = "same as `logs`",
         .arguments = {one_instance},
         .flags = {follow, tail},
         .examples = {{"instance logs web.0", ""}},
         .see_also = {"logs"}},
        {.path = "instance exec",
         .summary = "same as `exec`",
         .arguments = {one_instance, {.name = "COMMAND", .rest = true}},
         .flags = exec_flags,
         .examples = {{"instance exec web.0 date", ""}},
         .see_also = {"exec"}},

        {.path = "image list",
         .summary = "list the images that nodes have",
         .flags = {on_node},
         .examples = {{"image list", ""}},
         .see_also = {"image import"}},
        {.path = "image import",
         .summary = "bring an OCI layout or docker-archive into the image store",
         .arguments = {{"PATH", kind::file}},
         .flags = {{"name", 0, "NAME", "the name to give it (default: the one inside)"},
                   {"node", 0, "NODE", "the node where PATH lies (default: the one asked)", kind::node}},
         .examples = {{"image import web.tar --name=web:1", "other nodes fetch it when they need it"}},
         .see_also = {"image list"}},
        {.path = "image delete",
         .summary = "delete an image",
         .arguments = {{"IMAGE", kind::image}},
         .examples = {{"image delete web:1", ""}},
         .see_also = {"image list"}},
        {.path = "image create",
         .summary = "make an image from local files",
         .by = process,
         .arguments = {{"IMAGE"}, {.name = "ARGUMENTS", .optional = true, .many = true}},
         .examples = {{"image create --help", ""}},
         .see_also = {"image import"},
         .open_flags = true},

        {.path = "actor list",
         .summary = "all actors as a tree: rate, failures, state",
         .flags = {on_node},
         .examples = {{"actor list", ""}, {"actor list --node=edge-1", ""}},
         .see_also = {"actor show", "actor trace"}},
        {.path = "actor show",
         .summary = "show one actor and what it accepts",
         .arguments = {one_actor},
         .examples = {{"actor show cloud-1/scheduler", ""}},
         .see_also = {"ask"}},
        {.path = "actor trace",
         .summary = "the messages an actor was sent",
         .arguments = {one_actor},
         .flags = {follow, {"limit", 0, "N", "at most so many (default 20; with -f: no limit)", kind::number}},
         .examples = {{"actor trace -f cloud-1/scheduler", "as they come"}},
         .see_also = {"ask", "events"}},

        {.path = "ledger show",
         .summary = "leader, term, size and state of the ledger",
         .examples = {{"ledger show", ""}},
         .see_also = {"ledger members"}},
        {.path = "ledger members",
         .summary = "the nodes that keep the ledger",
         .examples = {{"ledger members", ""}},
         .see_also = {"ledger add", "ledger remove"}},
        {.path = "ledger add",
         .summary = "let a node keep the ledger too",
         .arguments = {one_node, {"ADDRESS"}},
         .examples = {{"ledger add cloud-2 10.0.0.2:7101", "its ledger must be empty"}},
         .see_also = {"ledger members"}},
        {.path = "ledger remove",
         .summary = "take a node out of the ledger",
         .arguments = {one_node},
         .examples = {{"ledger remove cloud-2", ""}},
         .see_also = {"ledger members"}},
        {.path = "ledger records",
         .summary = "the records below a prefix",
         .arguments = {{"PREFIX", kind::text, true}},
         .examples = {{"ledger records instance/web", ""}},
         .see_also = {"ledger show"}},
        {.path = "ledger snapshot",
         .summary = "compact the log now",
         .examples = {{"ledger snapshot", ""}},
         .see_also = {"ledger backup"}},
        {.path = "ledger backup",
         .summary = "write the whole state to a file on the leader",
         .arguments = {{"PATH", kind::file}},
         .examples = {{"ledger backup /var/backups/fabric.ledger", ""}},
         .see_also = {"ledger restore"}},
        {.path = "ledger restore",
         .summary = "replace the whole state by that of a file on the leader",
         .arguments = {{"PATH", kind::file}},
         .examples = {{"ledger restore /var/backups/fabric.ledger", ""}},
         .see_also = {"ledger backup"}},
        {.path = "ledger check",
         .summary = "check a recorded history for linearizability",
         .by = process,
         .arguments = {{"HISTORY", kind::file}},
         .examples = {{"ledger check history.jsonl", ""}},
         .see_also = {"bench"},
         .open_flags = true},

        {.path = "token create",
         .summary = "make a token with which one node may join once",
         .flags = {{"name", 0, "NAME", "the node's name"},
                   {"role", 0, "ROLE", "the node's role", kind::choice, roles},
                   {"life", 0, "TIME", "how long it is good (default 1h)", kind::duration}},
         .examples = {{"token create --name=edge-7 --role=edge", "prints the token once; only its hash is kept"}},
         .see_also = {"token list", "join"}},
        {.path = "token list",
         .summary = "list the join tokens",
         .examples = {{"token list", ""}},
         .see_also = {"token create"}},
        {.path = "certificate revoke",
         .summary = "refuse a certificate from now on",
         .arguments = {{"SERIAL"}},
         .flags = {{"reason", 0, "TEXT", "for the record"}},
         .examples = {{"certificate revoke 4F21 --reason=stolen", ""}},
         .see_also = {"token list"}},
        {.path = "audit show",
         .summary = "who ordered what, and who was refused, on the node that is asked",
         .flags = {{"after", 0, "NUMBER", "only entries after this one", kind::number},
                   {"limit", 0, "N", "the last so many (default 50; 0 for all)", kind::number}},
         .examples = {{"audit show", ""}, {"audit show --limit=0 -o json", "all that is kept, with the hashes"}},
         .see_also = {"audit verify", "events"}},
        {.path = "audit verify",
         .summary = "check that no order or refusal on record was changed or deleted",
         .examples = {{"audit verify", "the exit code is 1 when something is missing or changed"}},
         .more = "Whoever may write the files may also write all of them anew. The hash that is printed tells: kept on\n"
                 "another machine, it must still be that of its entry later.",
         .see_also = {"audit show"}},
        {.path = "log-level",
         .summary = "change what is logged from now on",
         .arguments = {{.name = "LEVEL", .is = kind::choice, .choices = log_levels}},
         .flags = {on_node, {"actor", 0, "PREFIX", "only actors whose name begins so", kind::actor}},
         .examples = {{"log-level debug --actor=scheduler", ""}},
         .see_also = {"actor list"}},
    };
  }

  std::vector<command> process_entries() const {
    const auto config = flag{"config", 0, "FILE", "the fabric's description (default ./nodes.toml)", kind::file};
    const auto data = flag{"data-dir", 0, "DIR", "where it keeps what must last", kind::file};
    return {
        {.path = "dev",
         .summary = "run every node of nodes.toml on this machine",
         .by = process,
         .flags = {config, data},
         .examples = {{"dev", "one command, no configuration; Ctrl-C ends it"}},
         .see_also = {"shell", "doctor"},
         .open_flags = true},
        {.path = "demo",
         .summary = "a fabric that runs work, loses a node and heals, in a minute",
         .by = process,
         .flags = {config},
         .examples = {{"demo", "needs root or a user with namespaces, and crun"}},
         .see_also = {"dev"}},
        {.path = "--role",
         .summary = "run one node",
         .by = process,
         .flags = {{"role", 0, "ROLE", "what it is", kind::choice, roles},
                   {"name", 0, "NAME", "what it is called"},
                   config,
                   data},
         .examples = {{"--role=edge --name=edge-1 --config=nodes.toml", ""}},
         .see_also = {"dev", "join"},
         .open_flags = true},
        {.path = "join",
         .summary = "get a certificate for this node with a token",
         .by = process,
         .flags = {{"token", 0, "TOKEN", "from `novacron token create`"},
                   {"name", 0, "NAME", "this node's name"},
                   {"role", 0, "ROLE", "this node's role", kind::choice, roles},
                   data},
         .examples = {{"join --connect=10.0.0.1:7180 --token=... --name=edge-7 --role=edge", ""}},
         .see_also = {"token create"},
         .open_flags = true},
        {.path = "simulate",
         .summary = "run a scenario in the virtual world",
         .by = process,
         .arguments = {one_file},
         .flags = {{"seed", 0, "N", "the history to replay", kind::number}},
         .examples = {{"simulate partition.scenario --seed=7", ""}},
         .see_also = {"dev"},
         .open_flags = true},
        {.path = "bench",
         .summary = "measure this machine; prints one JSON object",
         .by = process,
         .arguments = {{"AREA"}, {.name = "MORE", .optional = true, .many = true}},
         .examples = {{"bench workload --kind=container -o json", ""}},
         .see_also = {"doctor"},
         .open_flags = true},
        {.path = "doctor",
         .summary = "what this host can run, what is missing, and how to get it",
         .by = process,
         .examples = {{"doctor", ""}},
         .see_also = {"bench"},
         .open_flags = true},
    };
  }

  std::vector<command> self_commands() const {
    return {
        {.path = "shell",
         .summary = "the actor shell, attached to a live fabric",
         .by = self,
         .arguments = {{"FILE", kind::file, true}},
         .flags = {{"commands", 'c', "COMMANDS", "run these and leave"},
                   {"keep-going", 'k', "", "do not end at the first command that fails"}},
         .examples = {{"shell", "interactive when on a terminal"},
                      {"shell -c 'node list; ps'", "a script in one line"},
                      {"shell < script", "a script from standard input"}},
         .more = "Inside, commands are written without `novacron`; `;` separates, `#` begins a comment. Tab completes, "
                 "Ctrl-R\n"
                 "searches the history, Ctrl-C stops what runs, Ctrl-D leaves. A script ends at its first failure, "
                 "whose exit\n"
                 "code it takes.",
         .see_also = {"watch", "ask"}},
        {.path = "completion",
         .summary = "print a completion script",
         .by = self,
         .arguments = {{.name = "SHELL", .is = kind::choice, .choices = {"bash", "zsh", "fish"}}},
         .examples = {{"completion bash > /etc/bash_completion.d/novacron", ""},
                      {"completion zsh > \"${fpath[1]}/_novacron\"", ""},
                      {"completion fish > ~/.config/fish/completions/novacron.fish", ""}},
         .see_also = {"man"}},
        {.path = "man",
         .summary = "print the manual page, or the table of commands for the documentation",
         .by = self,
         .flags = {{"markdown", 0, "", "as a page of documentation instead"}},
         .examples = {{"man | man -l -", "read it"}, {"man > /usr/share/man/man1/novacron.1", "install it"}},
         .see_also = {"completion"}},
        {.path = "version",
         .summary = "version, commit and options of the build",
         .by = self,
         .examples = {{"version -o json", ""}},
         .see_also = {"doctor"}},
    };
  }
};

constexpr auto noun_words = std::array{
    std::pair{"node", "hosts that have joined"},
    std::pair{"workload", "what people asked for"},
    std::pair{"instance", "the copies of a workload, each on one node"},
    std::pair{"image", "what containers are made from"},
    std::pair{"actor", "the actors inside the nodes"},
    std::pair{"ledger", "the replicated truth"},
    std::pair{"token", "invitations to join"},
    std::pair{"certificate", "proofs of who is who"},
    std::pair{"audit", "the record of orders and refusals"},
    std::pair{"explain", "reasons for decisions"},
};

} // namespace

command_table::command_table(const std::set<std::string>& processes) {
  const auto all = catalogue{};
  for (auto&& group : {all.running_commands(), all.noun_commands(), all.process_entries(), all.self_commands()})
    for (auto& x : group)
      if (x.by != process || processes.contains(x.path))
        commands.push_back(x);
  // Whoever points to a command that is not there is not helped.
  for (auto& x : commands)
    std::erase_if(x.see_also, [this](const auto& path) { return !find(path); });
}

const command* command_table::find(std::string_view path) const {
  const auto at = std::ranges::find(commands, path, &command::path);
  return at == commands.end() ? nullptr : &*at;
}

std::vector<command_table::noun> command_table::nouns() const {
  auto found = std::vector<noun>{};
  for (const auto& [name, summary] : noun_words)
    if (is_noun(name))
      found.push_back({name, summary});
  return found;
}

bool command_table::is_noun(std::string_view word) const {
  return !below(word).empty();
}

std::vector<const command*> command_table::below(std::string_view noun) const {
  auto found = std::vector<const command*>{};
  for (const auto& x : commands)
    if (x.path.size() > noun.size() && x.path.starts_with(noun) && x.path[noun.size()] == ' ')
      found.push_back(&x);
  return found;
}

std::vector<const command*> command_table::shortcuts() const {
  auto found = std::vector<const command*>{};
  for (const auto& x : commands)
    if (x.path.find(' ') == x.path.npos)
      found.push_back(&x);
  return found;
}

const std::vector<flag>& common_flags() {
  static const auto flags = std::vector<flag>{
      {"output",
       'o',
       "FORMAT",
       "table, wide, json, yaml or name",
       kind::choice,
       {"table", "wide", "json", "yaml", "name"}},
      {"no-headers", 0, "", "tables without their first line"},
      {"quiet", 'q', "", "names only"},
      {"connect", 0, "ADDRESS", "HOST:PORT or the path of a socket (default: see FABRIC)"},
      {"trust-dir", 0, "DIR", "where ca.pem, cert.pem and key.pem for HOST:PORT are", kind::file},
      {"timeout", 0, "TIME", "how long an answer may take (default 10s)", kind::duration},
      {"help", 'h', "", "help for this command"},
  };
  return flags;
}

std::string usage(const command& x) {
  auto text = x.path == "--role" ? std::string{"--role=ROLE"} : x.path;
  auto switches = std::string{};
  auto others = std::string{};
  for (const auto& f : x.flags) {
    if (f.letter && f.value.empty())
      switches += f.letter;
    else if (f.name != "role")
      others += f.value.empty() ? " [--" + f.name + "]" : " [--" + f.name + "=" + f.value + "]";
  }
  if (!switches.empty())
    text += " [-" + switches + "]";
  text += others;
  for (const auto& a : x.arguments)
    text +=
        " " + std::string{a.optional ? "[" : ""} + a.name + (a.rest || a.many ? "..." : "") + (a.optional ? "]" : "");
  return text;
}

} // namespace novacron::shell
