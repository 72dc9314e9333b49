// One stream for each browser: the tab that holds the Web Lock leads, the others listen to it.

const ANSWER = 1000;

// `on`: lead(), follow(), message(message). Without Web Locks (plain http) each tab leads.
class Tabs {
  constructor(on) {
    Object.assign(this, { on, leads: false, name: "bq:" + DATA.queueName });
    this.shared = Boolean(navigator.locks && window.BroadcastChannel);
    if (!this.shared) return;
    this.channel = new BroadcastChannel(this.name);
    this.channel.onmessage = ({ data }) => {
      this.answered = Date.now();
      on.message(data);
    };
  }
  start() {
    if (this.shared) this.request({});
    else this.lead();
  }
  lead() {
    this.leads = true;
    this.on.lead();
  }
  request(options) {
    const held = () => {
      this.lead();
      return new Promise(() => {});
    };
    // Another tab took the lock: this one was frozen or cut off.
    navigator.locks.request(this.name, options, held).catch(() => {
      this.leads = false;
      this.on.follow();
      this.request({});
    });
  }
  post(message) {
    this.channel?.postMessage(message);
  }
  // Takes the lead unless the leader answers.
  async check() {
    if (this.leads || !this.shared) return;
    const asked = Date.now();
    this.answered = 0;
    this.post({ k: "who" });
    await pause(ANSWER);
    if (!this.leads && this.answered < asked && !document.hidden) this.request({ steal: true });
  }
}
