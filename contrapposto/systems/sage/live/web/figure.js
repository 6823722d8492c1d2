// The scene of the live page: floor, light, figures that take poses, and a sign for those in VR.
import * as THREE from "./three.min.js";

const COLOURS = [0x7ba7e8, 0xe8946a, 0x84c48e, 0xb896d8];
const SKY = 0xeef1f5;

function disc(radius, stops) { // lies on the floor, fades towards its rim
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 256;
  const pen = canvas.getContext("2d"), fade = pen.createRadialGradient(128, 128, 0, 128, 128, 128);
  stops.forEach(([at, colour]) => fade.addColorStop(at, colour));
  pen.fillStyle = fade;
  pen.fillRect(0, 0, 256, 256);
  const material = new THREE.MeshBasicMaterial({ map: new THREE.CanvasTexture(canvas), transparent: true, depthWrite: false });
  const mesh = new THREE.Mesh(new THREE.PlaneGeometry(2 * radius, 2 * radius), material);
  mesh.rotation.x = -Math.PI / 2;
  return mesh;
}

export function makeScene() {
  const scene = new THREE.Scene();
  scene.background = new THREE.Color(SKY);
  scene.fog = new THREE.Fog(SKY, 5, 16);
  scene.add(new THREE.HemisphereLight(0xffffff, 0xc8ccd4, 2.4));
  for (const [x, y, z, strength] of [[2, 4, 3, 1.3], [-3, 3, -3, 0.8]]) {
    const sun = new THREE.DirectionalLight(0xffffff, strength);
    sun.position.set(x, y, z);
    scene.add(sun);
  }
  scene.add(tiles(40));
  return scene;
}

function tiles(count) { // squares of half a metre; the fog hides where they end
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 128;
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#e3e7ec";
  pen.fillRect(0, 0, 128, 128);
  pen.fillStyle = "#d2d8e0";
  for (const corner of [0, 64]) pen.fillRect(corner, corner, 64, 64);
  const map = new THREE.CanvasTexture(canvas);
  map.wrapS = map.wrapT = THREE.RepeatWrapping;
  map.repeat.set(count / 2, count / 2);
  map.anisotropy = slow ? 1 : 8;
  map.colorSpace = THREE.SRGBColorSpace;
  const floor = new THREE.Mesh(new THREE.PlaneGeometry(count / 2, count / 2), new THREE.MeshBasicMaterial({ map }));
  floor.rotation.x = -Math.PI / 2;
  return floor;
}

export function makeSign() { // status in VR, where the panel of the page is not seen
  const canvas = document.createElement("canvas");
  canvas.width = 1024; canvas.height = 320;
  const texture = new THREE.CanvasTexture(canvas), pen = canvas.getContext("2d");
  texture.colorSpace = THREE.SRGBColorSpace;
  const material = new THREE.MeshBasicMaterial({ map: texture, transparent: true, fog: false });
  const mesh = new THREE.Mesh(new THREE.PlaneGeometry(1.28, 0.4), material);
  mesh.visible = false;
  let shown = null;
  return {
    mesh,
    write(text) {
      if (text === shown) return;
      shown = text;
      pen.clearRect(0, 0, 1024, 320);
      pen.fillStyle = "#ffffffee"; pen.beginPath(); pen.roundRect(0, 0, 1024, 320, 40); pen.fill();
      pen.fillStyle = "#223"; pen.textAlign = "center"; pen.textBaseline = "middle";
      const lines = text.split("\n").slice(0, 3), large = lines.length === 1 && text.length < 20;
      pen.font = `${large ? 120 : 64}px sans-serif`;
      lines.forEach((line, k) => pen.fillText(line, 512, 160 + 84 * (k - (lines.length - 1) / 2), 960));
      texture.needsUpdate = true;
    },
  };
}

export class Figure {
  // `data`: as `load` reads it; `id`: of the wearer, from 1 on, for the colour.
  constructor(id, data) {
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
    const mesh = new THREE.SkinnedMesh(shape, new THREE.MeshLambertMaterial({ color: COLOURS[(id - 1) % COLOURS.length] }));
    mesh.frustumCulled = false;
    mesh.add(this.bones[0]);
    mesh.bind(new THREE.Skeleton(this.bones));
    const upright = new THREE.Group(); // the server's axes have z up
    upright.rotation.x = -Math.PI / 2;
    upright.add(mesh);
    this.shadow = disc(0.45, [[0, "#23304a66"], [0.5, "#23304a33"], [1, "#23304a00"]]);
    this.group = new THREE.Group();
    this.group.add(upright, this.shadow);
    this.group.visible = false;
  }
  pose(values) { // translation 3, then w x y z of 22 joints
    const root = this.bones[0];
    root.position.set(this.offsets[0] + values[0], this.offsets[1] + values[1], this.offsets[2] + values[2]);
    this.shadow.position.set(root.position.x, 0.004, -root.position.y);
    for (let joint = 0; joint < 22; joint++) {
      const k = 3 + 4 * joint;
      this.bones[joint].quaternion.set(values[k + 1], values[k + 2], values[k + 3], values[k]);
    }
    this.group.visible = true;
  }
}

const probe = document.createElement("canvas").getContext("webgl2"), info = probe?.getExtension("WEBGL_debug_renderer_info");
const processor = info ? probe.getParameter(info.UNMASKED_RENDERER_WEBGL) : "";
export const slow = /swiftshader|llvmpipe|software/i.test(processor); // drawn without a graphics card

export async function load(id, scale) {
  const bytes = await (await fetch(`body.bin?scale=${scale}${slow ? "&coarse=1" : ""}`)).arrayBuffer();
  const [count, faces, joints] = new Uint32Array(bytes, 0, 3);
  let at = 12;
  const take = (kind, length) => { const part = new kind(bytes, at, length); at += part.byteLength; return part; };
  return new Figure(id, {
    vertices: take(Float32Array, 3 * count), weights: take(Float32Array, 4 * count),
    offsets: take(Float32Array, 3 * joints), parents: [...take(Int32Array, joints)],
    faces: take(Uint32Array, 3 * faces), joints: take(Uint16Array, 4 * count),
  });
}
