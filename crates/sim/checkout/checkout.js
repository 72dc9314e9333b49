// Counts the time left down. The gateway decides whether a payment was in time, not this clock.
const left = document.getElementById("left");
if (left) {
  const end = Date.now() + Number(left.dataset.seconds) * 1000;
  const draw = () => {
    const seconds = Math.max(0, Math.ceil((end - Date.now()) / 1000));
    left.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    document.getElementById("over").hidden = seconds > 0;
  };
  draw();
  setInterval(draw, 500);
}
