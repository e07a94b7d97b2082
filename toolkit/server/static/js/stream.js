// What the server tells of a run as it happens. A browser opens six connections to a server, over all its tabs: so only
// a few tabs listen, and the others ask every few seconds; who waits for a place gets one when another tab is closed.
const PLACES = 3;
const ASK_EVERY = 4000;
const LONGEST_WAIT = 30000;

/** Follow a run: returns what ends that. Names of events lead to what is called; `look` is called where none come. */
export function follow(address, events, look) {
  let source = null;
  let timer = null;
  let release = null;
  let over = false;
  let wait = 1000;

  function listen() {
    source = new EventSource(address);
    for (const [name, call] of Object.entries(events)) {
      source.addEventListener(name, call);
    }
    source.addEventListener("open", () => {
      wait = 1000;
      tell("");
    });
    source.addEventListener("error", () => {
      tell("Not live now: connecting again");
      if (source?.readyState === EventSource.CLOSED && !over) {
        timer = setTimeout(listen, wait); // the browser has given up: a proxy has answered in the server's place
        wait = Math.min(wait * 2, LONGEST_WAIT);
      }
    });
  }

  function ask() {
    look();
    timer = setTimeout(begin, ASK_EVERY);
  }

  async function begin() {
    if (over || !(await place())) {
      return over ? undefined : ask();
    }
    return over ? release() : listen();
  }

  // Where locks are kept from pages (plain http, but for this machine) nobody knows how many listen: all ask.
  async function place() {
    for (let i = 0; navigator.locks && i < PLACES; i++) {
      if (await held(`toolkit-live-${i}`)) {
        return true;
      }
    }
    return false;
  }

  function held(name) {
    return new Promise((found) => {
      navigator.locks.request(name, { ifAvailable: true }, (lock) => {
        found(lock !== null);
        return lock && new Promise((done) => (release = done));
      });
    });
  }

  begin();
  return () => {
    over = true;
    clearTimeout(timer);
    source?.close();
    release?.();
    tell("");
  };
}

function tell(text) {
  let told = document.getElementById("stream-state");
  if (!told && text) {
    told = document.createElement("p");
    told.id = "stream-state";
    told.setAttribute("role", "status");
    document.getElementById("main").prepend(told);
  }
  if (told && told.textContent !== text) {
    told.textContent = text;
    told.hidden = !text;
  }
}
