// What the server wrote into the page: what never changes, and the state at that moment.

const island = (id) => JSON.parse(document.getElementById(id).textContent);
const DATA = { ...island("data"), ...island("now") };
