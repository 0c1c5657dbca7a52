/** The list of marks: undoing them. */

import { request } from "../dom.js";

for (const button of document.querySelectorAll("button.undo")) {
  button.addEventListener("click", async () => {
    const query = new URLSearchParams({ track_id: button.dataset.id, seen: button.dataset.seen });
    try {
      await request(`/explore/api/undo?${query}`, { method: "POST" });
      location.reload();
    } catch (error) {
      const place = document.getElementById("problem");
      place.textContent = error.message;
      place.hidden = false;
      place.scrollIntoView({ block: "nearest" });
    }
  });
}
