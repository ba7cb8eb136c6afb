#include "actors/api/page.hpp"

namespace novacron::api {

// clang-format off
const std::string_view page_js = R"page('use strict';
// The page reads what everybody may read over HTTP, every two seconds, and listens to the events. It changes nothing.

const eventsMax = 300;
const find = id => document.getElementById(id);
const count = x => Number(x || 0);
const word = (text, prefix) => (text || '').replace(prefix, '').replace('UNSPECIFIED', '').toLowerCase();
const phase = x => word(x, 'PHASE_');

const good = ['running', 'ready', 'completed', 'passing'];
const bad = ['failed', 'lost', 'failing', 'away'];
const mood = text => good.includes(text) ? 'good' : bad.includes(text) ? 'bad' : text ? 'turn' : '';

function make(tag, text, kind) {
  const x = document.createElement(tag);
  if (text !== undefined) x.textContent = text;
  if (kind) x.className = kind;
  return x;
}

function bytes(x) {
  const names = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let n = count(x), i = 0;
  while (n >= 1024 && i + 1 < names.length) { n /= 1024; ++i; }
  return (n >= 100 || Number.isInteger(n) ? n.toFixed(0) : n.toFixed(1)) + ' ' + names[i];
}
const cores = milli => (count(milli) / 1000).toLocaleString('en', { maximumFractionDigits: 2 });

function share(part, whole, show) {
  const td = make('td');
  const meter = make('meter');
  meter.max = Math.max(count(whole), 1);
  meter.value = count(part);
  const text = show(part) + ' of ' + show(whole);
  meter.setAttribute('aria-label', text);
  td.append(meter, ' ' + text);
  return td;
}

function cell(content, kind) {
  if (content instanceof Node) return content;
  const text = content === undefined || content === '' ? '\u2013' : String(content);
  return make('td', text, kind || (text === '\u2013' ? 'none' : ''));
}

function fill(id, rows, columns, nothing) {
  const body = find(id);
  const lines = rows.map(row => {
    const tr = make('tr');
    row.forEach((content, i) => {
      if (i > 0) return tr.append(cell(content));
      const th = make('th', content);
      th.scope = 'row';
      tr.append(th);
    });
    return tr;
  });
  if (lines.length === 0) {
    const td = make('td', nothing, 'none');
    td.colSpan = columns;
    const tr = make('tr');
    tr.append(td);
    lines.push(tr);
  }
  body.replaceChildren(...lines);
}

// A reason that only repeats what is said already is none.
const because = (reason, said) => reason && reason !== said ? ': ' + reason : '';
const state = text => { const td = make('td', text || '\u2013', mood(text)); return td; };
const facts = node => (node.record || {}).facts || {};
const leads = node => ['cloud', 'hybrid'].includes(facts(node).role);

function box(node, instances) {
  const x = make('div', undefined, 'box');
  const f = facts(node);
  x.append(make('b', f.name), make('span', node.state, mood(node.state)));
  x.append(make('small', f.role + (f.zone ? ' in ' + f.zone : '')));
  const copies = make('div', undefined, 'copies');
  instances.filter(i => i.node === f.name && ['running', 'paused', 'starting', 'migrating'].includes(phase(i.phase)))
    .forEach(i => copies.append(make('span', i.name)));
  if (copies.children.length) x.append(copies);
  return x;
}

function topology(nodes, instances) {
  const top = nodes.filter(leads), rest = nodes.filter(x => !leads(x));
  const zones = new Map();
  for (const x of rest) {
    const zone = facts(x).zone || '';
    zones.set(zone, [...(zones.get(zone) || []), x]);
  }
  const below = make('ul');
  for (const [zone, members] of [...zones].sort()) {
    const li = make('li', undefined, 'zone');
    li.append(make('span', zone ? 'zone ' + zone : 'no zone'));
    const ul = make('ul');
    for (const x of members) { const item = make('li'); item.append(box(x, instances)); ul.append(item); }
    li.append(ul);
    below.append(li);
  }
  const root = make('li');
  top.forEach(x => root.append(box(x, instances), ' '));
  if (rest.length) root.append(below);
  find('topology').replaceChildren(root);
}

function summary(nodes, workloads, instances) {
  const sum = (what, name) => nodes.reduce((all, x) => all + count((what(x) || {})[name]), 0);
  const capacity = x => facts(x).capacity, reserved = x => x.reserved, used = x => x.used;
  const ready = nodes.filter(x => x.state === 'ready').length;
  const running = instances.filter(x => phase(x.phase) === 'running').length;
  const wanted = workloads.reduce((all, x) => all + (phase(x.phase) === 'completed' ? 0 : count(x.desired)), 0);
  const tiles = [
    ['nodes ready', ready + ' of ' + nodes.length],
    ['instances running', running + ' of ' + wanted],
    ['workloads', workloads.length],
    ['CPU reserved', cores(sum(reserved, 'cpu_milli')) + ' of ' + cores(sum(capacity, 'cpu_milli'))],
    ['memory reserved', bytes(sum(reserved, 'memory_bytes')) + ' of ' + bytes(sum(capacity, 'memory_bytes'))],
    ['memory used', bytes(sum(used, 'memory_bytes'))],
  ];
  find('summary').replaceChildren(...tiles.map(([name, value]) => {
    const div = make('div');
    div.append(make('dt', name), make('dd', value));
    return div;
  }));
}

async function get(path) {
  const answer = await fetch(path, { headers: { Accept: 'application/json' } });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.detail || 'HTTP ' + answer.status);
  return body;
}

function say(text, kind) {
  const x = find('link');
  if (x.textContent !== text) x.textContent = text;
  x.className = kind;
}

async function look() {
  if (document.hidden) return;
  try {
    const [version, nodeList, workloadList, instanceList] = await Promise.all(
      ['v1/version', 'v1/nodes', 'v1/workloads', 'v1/instances'].map(get));
    const nodes = nodeList.nodes || [], workloads = workloadList.workloads || [], instances = instanceList.instances || [];
    find('fabric').textContent = version.fabric || '';
    document.title = (version.fabric ? version.fabric + ' \u2013 ' : '') + 'NovaCron';
    summary(nodes, workloads, instances);
    topology(nodes, instances);
    fill('nodes', nodes.map(x => {
      const f = facts(x), c = f.capacity || {}, r = x.reserved || {}, u = x.used || {};
      return [f.name, f.role, f.zone, state(x.state), x.instances, share(r.cpu_milli, c.cpu_milli, cores),
        cores(u.cpu_milli), share(r.memory_bytes, c.memory_bytes, bytes), bytes(u.memory_bytes)];
    }), 9, 'No node has joined.');
    fill('workloads', workloads.map(x => {
      const spec = (x.record || {}).spec || {};
      return [spec.name, word(spec.kind, 'WORKLOAD_KIND_'), state(phase(x.phase)), x.running + ' of ' + x.desired,
        (spec.program || {}).image, x.reason];
    }), 6, 'Nothing was asked for yet: novacron run FILE');
    fill('instances', instances.map(x => [x.name, x.node, state(phase(x.phase)), x.health ? state(x.health) : '', x.restarts,
      x.address, count((x.used || {}).memory_bytes) ? bytes(x.used.memory_bytes) : '',
      x.reason === phase(x.phase) ? '' : x.reason]), 8, 'Nothing runs.');
    say('answered by ' + version.node + ', version ' + version.version, 'good');
  } catch (problem) {
    say('no answer: ' + problem.message + '; what is below is old', 'bad');
  }
}

const waiting = [];
let held = false;

function write(item) {
  const list = find('events');
  list.prepend(item);
  while (list.children.length > eventsMax) list.lastChild.remove();
}

function note(item) {
  if (!held) return write(item);
  waiting.push(item);
  if (waiting.length > eventsMax) waiting.shift();
  find('held').textContent = waiting.length + ' held back';
}

function show(x) {
  const li = make('li');
  const time = make('time', new Date(count(x.time_ms)).toLocaleTimeString());
  time.dateTime = new Date(count(x.time_ms)).toISOString();
  const how = phase(x.phase);
  li.append(time, x.noun + ' ' + x.name + ' ' + x.verb);
  if (how && how !== x.verb) li.append(' ', make('span', how, mood(how)));
  li.append((x.node ? ' on ' + x.node : '') + because(x.reason, x.verb));
  note(li);
}

let last = '';

// Events are named noun.verb, and an EventSource hears only names that it was told before: so the stream is read by hand.
function hear(block) {
  let data = '', name = '';
  for (const line of block.split('\n')) {
    if (line.startsWith('data: ')) data += line.slice(6);
    else if (line.startsWith('event: ')) name = line.slice(7);
    else if (line.startsWith('id: ')) last = line.slice(4);
  }
  if (name === 'missed') return note(make('li', 'some events were dropped before these', 'turn'));
  if (name === 'problem' || !data) return;
  try { show(JSON.parse(data)); } catch (broken) { /* one event less */ }
}

async function listen() {
  try {
    const headers = { Accept: 'text/event-stream' };
    if (last) headers['Last-Event-ID'] = last;
    const answer = await fetch('v1/events', { headers });
    if (!answer.ok) throw new Error('HTTP ' + answer.status);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      text += part.value;
      const blocks = text.split('\n\n');
      text = blocks.pop();
      blocks.forEach(hear);
    }
  } catch (broken) { /* what matters is said by look() */ }
  setTimeout(listen, 1000);
}

find('hold').addEventListener('click', event => {
  held = !held;
  event.target.setAttribute('aria-pressed', String(held));
  event.target.textContent = held ? 'Go on' : 'Hold';
  if (held) return;
  waiting.splice(0).forEach(write);
  find('held').textContent = '';
});
document.addEventListener('visibilitychange', look);
setInterval(look, 2000);
look();
listen();
)page";
// clang-format on

} // namespace novacron::api
