// The page of live tracking in a browser: a headset sends its devices and sees its body as in a mirror; others watch.
import * as THREE from "./three.min.js";

const HEADER = 16; // bytes: wearer (uint32), padding, stamp (float64)
const watching = location.pathname.endsWith("/watch");
const byId = name => document.getElementById(name);
const COLOURS = [0x4a78c8, 0xd0603a, 0x4d9158, 0x8a5cae];

// ---------------------------------------------------------------- scene
const renderer = new THREE.WebGLRenderer({ canvas: byId("view"), antialias: true });
renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
renderer.xr.enabled = true;
const scene = new THREE.Scene();
scene.background = new THREE.Color(0xe9edf2);
scene.fog = new THREE.Fog(0xe9edf2, 6, 18);
scene.add(new THREE.HemisphereLight(0xffffff, 0x99a0aa, 2.2));
const sun = new THREE.DirectionalLight(0xffffff, 1.8);
sun.position.set(2, 5, 3);
scene.add(sun, new THREE.GridHelper(24, 24, 0xa8b0ba, 0xcdd3da));
const camera = new THREE.PerspectiveCamera(45, 1, 0.05, 100);
const orbit = { turn: 0.4, tilt: 0.15, distance: 4.2 };

const mirror = new THREE.Group(); // of the wearer's own body; the identity for those who watch
mirror.matrixAutoUpdate = false;
scene.add(mirror);

function board() { // status in VR, where the panel of the page is not seen
  const canvas = document.createElement("canvas");
  canvas.width = 1024; canvas.height = 384;
  const texture = new THREE.CanvasTexture(canvas);
  const mesh = new THREE.Mesh(new THREE.PlaneGeometry(1.2, 0.45),
    new THREE.MeshBasicMaterial({ map: texture, transparent: true }));
  mesh.visible = false;
  scene.add(mesh);
  return {
    mesh,
    write(text) {
      if (text === this.text) return;
      this.text = text;
      const pen = canvas.getContext("2d");
      pen.fillStyle = "#fffe"; pen.fillRect(0, 0, 1024, 384);
      pen.fillStyle = "#223"; pen.font = "48px sans-serif";
      text.split("\n").slice(0, 6).forEach((line, k) => pen.fillText(line, 32, 70 + 58 * k, 960));
      texture.needsUpdate = true;
    },
  };
}
const sign = board();

// ---------------------------------------------------------------- bodies
class Figure {
  constructor(id, data) {
    this.parents = data.parents;
    this.offsets = data.offsets;
    this.bones = data.parents.map(() => new THREE.Bone());
    this.bones.forEach((bone, joint) => {
      bone.position.fromArray(data.offsets, 3 * joint);
      if (joint > 0) this.bones[data.parents[joint]].add(bone);
    });
    const shape = new THREE.BufferGeometry();
    shape.setAttribute("position", new THREE.BufferAttribute(data.vertices, 3));
    shape.setAttribute("skinIndex", new THREE.BufferAttribute(data.joints, 4));
    shape.setAttribute("skinWeight", new THREE.BufferAttribute(data.weights, 4));
    shape.setIndex(new THREE.BufferAttribute(data.faces, 1));
    shape.computeVertexNormals();
    const skin = new THREE.MeshStandardMaterial({ color: COLOURS[(id - 1) % COLOURS.length], roughness: 0.7 });
    this.mesh = new THREE.SkinnedMesh(shape, skin);
    this.mesh.frustumCulled = false;
    this.mesh.add(this.bones[0]);
    this.mesh.bind(new THREE.Skeleton(this.bones));
    this.upright = new THREE.Group(); // the server's axes have z up
    this.upright.rotation.x = -Math.PI / 2;
    this.upright.add(this.mesh);
    this.upright.visible = false;
  }
  pose(values) { // translation 3, then w x y z of 22 joints
    const root = this.bones[0];
    root.position.set(this.offsets[0] + values[0], this.offsets[1] + values[1], this.offsets[2] + values[2]);
    for (let joint = 0; joint < 22; joint++) {
      const k = 3 + 4 * joint;
      this.bones[joint].quaternion.set(values[k + 1], values[k + 2], values[k + 3], values[k]);
    }
    this.upright.visible = true;
  }
}

async function load(id, scale) {
  const bytes = await (await fetch(`body.bin?scale=${scale}`)).arrayBuffer();
  const [count, faces, joints] = new Uint32Array(bytes, 0, 3);
  let at = 12;
  const take = (kind, length) => { const part = new kind(bytes, at, length); at += part.byteLength; return part; };
  const data = {
    vertices: take(Float32Array, 3 * count), weights: take(Float32Array, 4 * count),
    offsets: take(Float32Array, 3 * joints), parents: [...take(Int32Array, joints)],
    faces: take(Uint32Array, 3 * faces), joints: take(Uint16Array, 4 * count),
  };
  return new Figure(id, data);
}

const figures = new Map(); // wearer -> {scale, figure, values, stamp}
async function prepare(id, scale) {
  const known = figures.get(id);
  if (known && known.scale === scale) return;
  const entry = { ...known, scale };
  figures.set(id, entry);
  const figure = await load(id, scale);
  if (entry.figure) entry.figure.upright.removeFromParent();
  entry.figure = figure;
  (watching ? scene : mirror).add(figure.upright);
}

// ---------------------------------------------------------------- connection
const name = sessionStorage.wearer ??= Math.random().toString(36).slice(2);
const live = { drawn: [], median: null, sent: 0, bodies: 0, connections: 0, status: "" };
window.live = live; // for tests and the curious
let socket = null;

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/${watching ? "watch" : "headset"}?name=${name}`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => { live.connections += 1; byId("state").textContent = watching ? "Watching." : "Connected."; };
  socket.onclose = event => {
    byId("state").textContent = event.reason || "Connection lost; trying again ...";
    setTimeout(connect, 500);
  };
  socket.onmessage = event => typeof event.data === "string" ? hear(JSON.parse(event.data)) : see(event.data);
}

function hear(words) {
  if (words.wearers) words.wearers.forEach(one => prepare(one.id, one.scale));
  if (words.status !== undefined) {
    live.status = words.status;
    byId("note").textContent = words.status;
    byId("count").textContent = /T-pose in (\d+)/.exec(words.status)?.[1] ?? "";
  }
}

function see(data) {
  const view = new DataView(data), entry = figures.get(view.getUint32(0, true));
  if (!entry) return;
  entry.stamp = view.getFloat64(8, true);
  entry.values = new Float32Array(data, HEADER);
  live.bodies += 1;
}

const say = words => { if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(words)); };
const seconds = () => performance.now() / 1000;

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

let hung = false;
function hang(head) { // the mirror, 1.4 m before the eyes, and the sign above it
  const [x, , z] = head, q = new THREE.Quaternion(...head.slice(3));
  const ahead = new THREE.Vector3(0, 0, -1).applyQuaternion(q).setY(0).normalize();
  const n = ahead, d = n.x * (x + 1.4 * n.x) + n.z * (z + 1.4 * n.z);
  mirror.matrix.set(
    1 - 2 * n.x * n.x, 0, -2 * n.x * n.z, 2 * d * n.x,
    0, 1, 0, 0,
    -2 * n.z * n.x, 0, 1 - 2 * n.z * n.z, 2 * d * n.z,
    0, 0, 0, 1);
  mirror.matrixWorldNeedsUpdate = true;
  sign.mesh.position.set(x + 2.6 * n.x, 2.15, z + 2.6 * n.z);
  sign.mesh.lookAt(x, 1.8, z);
  sign.mesh.visible = hung = true;
}

async function enter() {
  const session = await navigator.xr.requestSession("immersive-vr",
    { requiredFeatures: ["local-floor"], optionalFeatures: ["hand-tracking"] });
  session.addEventListener("select", () => say({ do: "calibrate" }));
  session.addEventListener("end", () => { byId("enter").hidden = false; hung = sign.mesh.visible = false; });
  renderer.xr.setReferenceSpaceType("local-floor");
  await renderer.xr.setSession(session);
  byId("enter").hidden = true;
  byId("calibrate").hidden = false;
}

// ---------------------------------------------------------------- drawing
const smoothed = new THREE.Vector3(0, 0.9, 0);
function lookAt() {
  const shown = [...figures.values()].filter(entry => entry.figure?.upright.visible);
  if (shown.length) {
    const middle = new THREE.Vector3(), place = new THREE.Vector3();
    shown.forEach(entry => middle.add(entry.figure.bones[0].getWorldPosition(place)));
    smoothed.lerp(middle.divideScalar(shown.length).setY(0.95), 0.05);
  }
  const far = orbit.distance + (shown.length > 1 ? 1.5 : 0), flat = far * Math.cos(orbit.tilt);
  camera.position.set(smoothed.x + flat * Math.sin(orbit.turn), smoothed.y + far * Math.sin(orbit.tilt),
    smoothed.z + flat * Math.cos(orbit.turn));
  camera.lookAt(smoothed);
}

renderer.setAnimationLoop((_, frame) => {
  const space = frame && renderer.xr.getReferenceSpace();
  if (space) {
    const head = measure(frame, space);
    if (head && !hung) hang(head);
    sign.write(live.status || "Press the trigger, then stand in the T-pose.");
  } else {
    lookAt();
  }
  for (const entry of figures.values()) {
    if (!entry.figure || !entry.values) continue;
    entry.figure.pose(entry.values);
    if (entry.stamp !== entry.drawn && !watching) live.drawn.push(1000 * (seconds() - entry.stamp));
    entry.drawn = entry.stamp;
  }
  renderer.render(scene, camera);
});

setInterval(() => { // what was measured, twice a second
  if (live.drawn.length < 5) return;
  const values = live.drawn.splice(0).sort((a, b) => a - b);
  live.median = values[values.length >> 1];
  byId("latency").textContent = `from the devices to the drawn body: ${live.median.toFixed(0)} ms`;
  say({ do: "drawn", ms: values.slice(0, 60).map(value => Math.round(10 * value) / 10) });
}, 500);

function resize() {
  if (renderer.xr.isPresenting) return;
  renderer.setSize(innerWidth, innerHeight, false);
  camera.aspect = innerWidth / innerHeight;
  camera.updateProjectionMatrix();
}
addEventListener("resize", resize);
resize();
const view = byId("view");
view.addEventListener("pointermove", event => {
  if (!event.buttons) return;
  orbit.turn -= event.movementX / 150;
  orbit.tilt = Math.min(Math.max(orbit.tilt + event.movementY / 200, -0.1), 1.4);
});
view.addEventListener("wheel", event => { orbit.distance = Math.min(Math.max(orbit.distance * (1 + event.deltaY / 1000), 1), 15); });
byId("enter").onclick = () => enter().catch(error => { byId("state").textContent = String(error); });
byId("calibrate").onclick = () => say({ do: "calibrate" });

if (!watching) {
  const able = await navigator.xr?.isSessionSupported("immersive-vr").catch(() => false);
  byId("enter").hidden = !able;
  byId("note").textContent = able ? "" : "No headset here: open this address in the headset's browser.\nTo watch from this machine, open /watch.";
  if (able) connect();
  else byId("state").textContent = isSecureContext ? "" : "This address is not secure, so browsers offer no VR here: use localhost or https.";
} else {
  byId("calibrate").hidden = false;
  connect();
}
