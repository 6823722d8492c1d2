// The page of live tracking in a browser: a headset sends its devices and sees its body as in a mirror; others watch.
import * as THREE from "./three.min.js";
import { load, makeScene, makeSign, slow } from "./figure.js";

const HEADER = 16; // bytes: wearer (uint32), padding, stamp (float64)
const AWAY = 1.1; // metres from the eyes to the mirror
const watching = location.pathname.endsWith("/watch");
const byId = name => document.getElementById(name);
const seconds = () => performance.now() / 1000;

const renderer = new THREE.WebGLRenderer({ canvas: byId("view"), antialias: !slow });
renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
renderer.xr.enabled = true;
const scene = makeScene(), sign = makeSign();
const mirror = new THREE.Group(); // of the wearers' bodies; the identity for those who watch
mirror.matrixAutoUpdate = false;
scene.add(sign.mesh, mirror);
const camera = new THREE.PerspectiveCamera(40, 1, 0.05, 100);
const orbit = { turn: 0.5, tilt: 0.15, distance: 3.9, centre: new THREE.Vector3(0, 0.9, 0) };

// ---------------------------------------------------------------- connection
const name = sessionStorage.wearer ??= Math.random().toString(36).slice(2);
const live = { drawn: [], returned: [], sent: 0, bodies: 0, connections: 0, status: "", reports: {}, median: null, shown: 0 };
window.live = live; // for tests and the curious
const figures = new Map(); // wearer -> {scale, figure, values, stamp}
let socket = null;

async function prepare(id, scale) {
  const known = figures.get(id);
  if (known?.scale === scale) return;
  const entry = { ...known, scale };
  figures.set(id, entry);
  const figure = await load(id, scale);
  entry.figure?.group.removeFromParent();
  entry.figure = figure;
  mirror.add(figure.group);
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/${watching ? "watch" : "headset"}?name=${name}`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => { live.connections += 1; byId("state").textContent = watching ? "Drag to turn, wheel to zoom" : "Connected"; };
  socket.onclose = event => {
    byId("state").textContent = event.reason || "Connection lost; trying again ...";
    setTimeout(connect, 500);
  };
  socket.onmessage = event => typeof event.data === "string" ? hear(JSON.parse(event.data)) : see(event.data);
}

function hear(words) {
  words.wearers?.forEach(one => prepare(one.id, one.scale));
  if (words.report) report(words.report);
  if (words.status === undefined) return;
  live.status = words.status;
  byId("note").textContent = words.status;
  byId("count").textContent = /T-pose in (\d+)/.exec(words.status)?.[1] ?? "";
}

function see(data) {
  const view = new DataView(data), entry = figures.get(view.getUint32(0, true));
  if (!entry) return;
  entry.stamp = view.getFloat64(8, true);
  entry.values = new Float32Array(data, HEADER);
  live.bodies += 1;
  if (!watching) live.returned.push(1000 * (seconds() - entry.stamp));
}

const say = words => { if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(words)); };

// ---------------------------------------------------------------- report
const PARTS = { network: "headset to server", waiting: "waiting for the model", model: "model", returned: "packet to returned body", drawn: "packet to drawn body" };
function report(one) {
  live.reports[one.id] = one;
  byId("report").replaceChildren(...Object.values(live.reports).map(({ id, rates, parts }) => {
    const table = document.createElement("table");
    const row = (kind, texts, style) => {
      const line = table.insertRow();
      line.className = style;
      texts.forEach(text => line.appendChild(document.createElement(kind)).textContent = text);
    };
    row("th", [`Wearer ${id}: ${rates.packets.toFixed(0)} packets/s, ${rates.bodies.toFixed(0)} bodies/s`, "median", "95 %"], "");
    for (const part of Object.keys(PARTS)) {
      if (parts[part]) row("td", [PARTS[part], `${parts[part].p50.toFixed(1)} ms`, `${parts[part].p95.toFixed(1)} ms`], part === "drawn" ? "whole" : "");
    }
    return table;
  }));
}

setInterval(() => { // what was measured, twice a second
  if (live.drawn.length < 5) return;
  const tenths = values => values.map(value => Math.round(10 * value) / 10).slice(0, 60);
  const drawn = live.drawn.splice(0), returned = live.returned.splice(0);
  live.median = [...drawn].sort((a, b) => a - b)[drawn.length >> 1];
  say({ do: "measured", drawn: tenths(drawn), returned: tenths(returned) });
}, 500);

// ---------------------------------------------------------------- headset
const numbers = pose => pose && [
  pose.transform.position.x, pose.transform.position.y, pose.transform.position.z,
  pose.transform.orientation.x, pose.transform.orientation.y, pose.transform.orientation.z, pose.transform.orientation.w];

function measure(frame, space) {
  const packet = { time: seconds(), sent: (performance.timeOrigin + performance.now()) / 1000,
    head: numbers(frame.getViewerPose(space)) ?? null, left: null, right: null };
  for (const source of frame.session.inputSources) {
    if (source.handedness === "none") continue;
    const place = source.hand ? source.hand.get("wrist") : source.gripSpace;
    const pose = place && (source.hand ? frame.getJointPose(place, space) : frame.getPose(place, space));
    if (pose) packet[source.handedness] = numbers(pose);
  }
  if (socket?.readyState === WebSocket.OPEN && socket.bufferedAmount < 1 << 16) {
    say(packet);
    live.sent += 1;
  }
  return packet.head;
}

let plane = null; // of the mirror: a normal towards it, its distance from the origin, and since when it is out of sight
function hang(head) { // the mirror before the eyes, anew where the wearer has walked or turned away from it
  const [x, , z] = head, n = new THREE.Vector3(0, 0, -1).applyQuaternion(new THREE.Quaternion(...head.slice(3))).setY(0).normalize();
  if (plane) {
    const left = plane.d - plane.n.x * x - plane.n.z * z;
    if (left > 0.5 && left < 2.2 && plane.n.dot(n) > 0.3) plane.lost = seconds();
    if (seconds() - plane.lost < 1 && left > 0.2) return;
  }
  const d = n.x * x + n.z * z + AWAY;
  plane = { n, d, lost: seconds() };
  mirror.matrix.set(
    1 - 2 * n.x * n.x, 0, -2 * n.x * n.z, 2 * d * n.x,
    0, 1, 0, 0,
    -2 * n.z * n.x, 0, 1 - 2 * n.z * n.z, 2 * d * n.z,
    0, 0, 0, 1);
  mirror.matrixWorldNeedsUpdate = true;
  sign.mesh.position.set(x + 2.2 * n.x, 2.1, z + 2.2 * n.z);
  sign.mesh.lookAt(x, 1.8, z);
  sign.mesh.visible = true;
}

function leave() {
  byId("enter").hidden = false;
  byId("calibrate").hidden = true;
  sign.mesh.visible = false;
  plane = null;
  mirror.matrix.identity();
  mirror.matrixWorldNeedsUpdate = true;
}

async function enter() {
  const session = await navigator.xr.requestSession("immersive-vr",
    { requiredFeatures: ["local-floor"], optionalFeatures: ["hand-tracking"] });
  session.addEventListener("select", () => say({ do: "calibrate" }));
  session.addEventListener("end", leave);
  renderer.xr.setReferenceSpaceType("local-floor");
  await renderer.xr.setSession(session);
  byId("enter").hidden = true;
  byId("calibrate").hidden = false;
}

// ---------------------------------------------------------------- drawing
function lookAt() {
  const shown = [...figures.values()].filter(entry => entry.figure?.group.visible);
  if (shown.length) {
    const middle = new THREE.Vector3();
    shown.forEach(entry => middle.add(entry.figure.shadow.position));
    orbit.centre.lerp(middle.divideScalar(shown.length).setY(0.9), 0.08);
  }
  const far = orbit.distance + 1.2 * Math.max(shown.length - 1, 0), flat = far * Math.cos(orbit.tilt), { centre } = orbit;
  camera.position.set(centre.x + flat * Math.sin(orbit.turn), centre.y + far * Math.sin(orbit.tilt), centre.z + flat * Math.cos(orbit.turn));
  camera.lookAt(centre);
}

renderer.setAnimationLoop((_, frame) => {
  const space = frame && renderer.xr.getReferenceSpace(), drawn = [];
  if (space) {
    const head = measure(frame, space);
    if (head) hang(head);
    sign.write(live.status || "Press the trigger,\nthen stand in the T-pose");
  } else {
    lookAt();
  }
  for (const entry of figures.values()) {
    if (!entry.figure || !entry.values || entry.stamp === entry.drawn) continue;
    entry.figure.pose(entry.values);
    entry.drawn = entry.stamp;
    drawn.push(entry.stamp);
  }
  renderer.render(scene, camera);
  live.shown += 1;
  if (!watching) live.drawn.push(...drawn.map(stamp => 1000 * (seconds() - stamp)));
});

function resize() {
  if (renderer.xr.isPresenting) return;
  renderer.setSize(innerWidth, innerHeight, false);
  camera.aspect = innerWidth / innerHeight;
  const covered = byId("panel").getBoundingClientRect().right; // figures stand in the middle of what the panel leaves free
  if (covered < 0.7 * innerWidth) camera.setViewOffset(innerWidth, innerHeight, -covered / 2, 0, innerWidth, innerHeight);
  else camera.clearViewOffset();
  camera.updateProjectionMatrix();
}
new ResizeObserver(resize).observe(byId("panel"));
addEventListener("resize", resize);
byId("view").addEventListener("pointermove", event => {
  if (!event.buttons) return;
  orbit.turn -= event.movementX / 150;
  orbit.tilt = Math.min(Math.max(orbit.tilt + event.movementY / 200, -0.1), 1.4);
});
byId("view").addEventListener("wheel", event => { orbit.distance = Math.min(Math.max(orbit.distance * (1 + event.deltaY / 1000), 1), 15); });
byId("enter").onclick = () => enter().catch(error => { byId("state").textContent = String(error); });
byId("calibrate").onclick = () => say({ do: "calibrate" });

const able = !watching && await navigator.xr?.isSessionSupported("immersive-vr").catch(() => false);
if (watching || able) {
  byId("enter").hidden = !able;
  byId("calibrate").hidden = !watching;
  connect();
} else {
  byId("state").textContent = isSecureContext ? "No headset here." : "Browsers offer no VR at this address: it is not secure. Use localhost (adb reverse) or https (task.certificate=auto).";
  const link = Object.assign(document.createElement("a"), { href: "watch", textContent: "Watch from this machine" });
  byId("note").replaceChildren("Open this address in the headset's browser. ", link);
}
