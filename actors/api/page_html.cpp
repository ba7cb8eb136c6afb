#include "actors/api/page.hpp"

namespace novacron::api {

// clang-format off
const std::string_view page_html = R"page(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>NovaCron</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="page.css">
<script src="page.js" defer></script>
</head>
<body>
<header>
  <h1>NovaCron <span id="fabric"></span></h1>
  <p id="link" role="status">connecting</p>
</header>
<main>
  <section aria-labelledby="summary-title">
    <h2 id="summary-title">Now</h2>
    <dl id="summary"></dl>
  </section>
  <section aria-labelledby="topology-title">
    <h2 id="topology-title">Topology</h2>
    <ul id="topology" class="tree"></ul>
  </section>
  <section aria-labelledby="nodes-title">
    <h2 id="nodes-title">Nodes</h2>
    <div class="wide"><table>
      <thead><tr><th scope="col">Name</th><th scope="col">Role</th><th scope="col">Zone</th><th scope="col">State</th>
        <th scope="col">Instances</th><th scope="col">CPU reserved</th><th scope="col">CPU used</th>
        <th scope="col">Memory reserved</th><th scope="col">Memory used</th></tr></thead>
      <tbody id="nodes"></tbody>
    </table></div>
  </section>
  <section aria-labelledby="workloads-title">
    <h2 id="workloads-title">Workloads</h2>
    <div class="wide"><table>
      <thead><tr><th scope="col">Name</th><th scope="col">Kind</th><th scope="col">Phase</th><th scope="col">Running</th>
        <th scope="col">Image</th><th scope="col">Reason</th></tr></thead>
      <tbody id="workloads"></tbody>
    </table></div>
  </section>
  <section aria-labelledby="instances-title">
    <h2 id="instances-title">Instances</h2>
    <div class="wide"><table>
      <thead><tr><th scope="col">Name</th><th scope="col">Node</th><th scope="col">Phase</th><th scope="col">Health</th>
        <th scope="col">Restarts</th><th scope="col">Address</th><th scope="col">Memory</th><th scope="col">Reason</th></tr></thead>
      <tbody id="instances"></tbody>
    </table></div>
  </section>
  <section aria-labelledby="events-title">
    <h2 id="events-title">Events</h2>
    <p><button id="hold" type="button" aria-pressed="false">Hold</button> <span id="held"></span></p>
    <ol id="events" aria-live="polite" reversed></ol>
  </section>
</main>
<noscript>This page shows a living fabric and needs JavaScript; <code>novacron shell</code> does not.</noscript>
</body>
</html>
)page";
// clang-format on

} // namespace novacron::api
