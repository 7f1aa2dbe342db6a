"use strict";
const choice = document.getElementById("episode");
const episodes = [...document.querySelectorAll(".episode")];
const videos = [...document.querySelectorAll("video")];

function shown() {
  return episodes[Number(choice.value)];
}

// The videos of an episode, each with the moment at which the plots' time begins.
function viewsOf(episode) {
  return episode.dataset.views.split(" ").filter(Boolean).map((view) => {
    const [index, start] = view.split(":").map(Number);
    return { video: videos[index], start };
  });
}

function seek(episode, share) {
  for (const { video, start } of viewsOf(episode)) {
    if (video.paused) video.currentTime = Math.max(0, start + share * Number(episode.dataset.seconds));
  }
}

// One cursor in every plot of the episode; share is the part of its time that has passed.
function place(episode, share) {
  const x = AXES.left + share * (AXES.right - AXES.left);
  for (const plot of episode.querySelectorAll("svg.plot")) {
    let cursor = plot.querySelector(".cursor");
    if (cursor === null) {
      cursor = document.createElementNS("http://www.w3.org/2000/svg", "line");
      cursor.setAttribute("class", "cursor");
      cursor.setAttribute("y1", "14");
      cursor.setAttribute("y2", String(AXES.height - 42));
      plot.append(cursor);
    }
    cursor.setAttribute("x1", String(x));
    cursor.setAttribute("x2", String(x));
  }
}

function point(event) {
  const plot = event.target.closest("svg.plot");
  const episode = event.target.closest(".episode");
  if (plot === null || episode === null) return;
  const box = plot.getBoundingClientRect();
  const x = ((event.clientX - box.left) / box.width) * AXES.width;
  const share = Math.min(1, Math.max(0, (x - AXES.left) / (AXES.right - AXES.left)));
  place(episode, share);
  seek(episode, share);
}

function follow(event) {
  const episode = shown();
  const view = viewsOf(episode).find(({ video }) => video === event.target);
  if (view === undefined) return;
  const passed = (event.target.currentTime - view.start) / Number(episode.dataset.seconds);
  if (passed >= 0 && passed <= 1) place(episode, passed);
}

// Videos that are shown together play together.
function together(event) {
  for (const { video } of viewsOf(shown())) {
    if (video === event.target) continue;
    if (event.type === "play") video.play().catch(() => {});
    else if (!event.target.ended) video.pause();
  }
}

function choose() {
  const views = viewsOf(shown());
  episodes.forEach((episode) => { episode.hidden = episode !== shown(); });
  videos.forEach((video) => { video.pause(); video.hidden = !views.some((view) => view.video === video); });
  seek(shown(), 0);
}

if (choice !== null) {
  choice.addEventListener("change", choose);
  document.addEventListener("pointermove", point);
  videos.forEach((video) => {
    video.addEventListener("timeupdate", follow);
    video.addEventListener("play", together);
    video.addEventListener("pause", together);
  });
  choose();
}
