"use strict";
const choice = document.getElementById("episode");
const episodes = [...document.querySelectorAll(".episode")];
const videos = [...document.querySelectorAll("video")];

function shown() {
  return episodes[Number(choice.value)];
}

function videoOf(episode) {
  return videos.find((video) => video.dataset.video === episode.dataset.video);
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
  const video = videoOf(episode);
  if (video !== undefined && video.paused) {
    video.currentTime = Number(episode.dataset.start) + share * Number(episode.dataset.seconds);
  }
}

function follow(event) {
  const episode = shown();
  const passed = (event.target.currentTime - Number(episode.dataset.start)) / Number(episode.dataset.seconds);
  if (videoOf(episode) === event.target && passed >= 0 && passed <= 1) place(episode, passed);
}

function choose() {
  episodes.forEach((episode) => { episode.hidden = episode !== shown(); });
  videos.forEach((video) => { video.pause(); video.hidden = video !== videoOf(shown()); });
  const video = videoOf(shown());
  if (video !== undefined) video.currentTime = Number(shown().dataset.start);
}

if (choice !== null) {
  choice.addEventListener("change", choose);
  document.addEventListener("pointermove", point);
  videos.forEach((video) => video.addEventListener("timeupdate", follow));
  choose();
}
