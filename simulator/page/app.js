'use strict';
// The customer's phone: one person, at most one call.

const $ = (id) => document.getElementById(id);
const ringtone = new Ring(440, 554, 900, 1400);
const ringback = new Ring(400, 450, 1000, 3000);
const goneText = 'The simulator does not answer. Is it still running?';
const silentLimit = 20000; // ms without any audio of the company: WhatsApp gives up as well

let me = null;       // what the simulator made of us
let call = null;     // {id, media, outbound, state, mic, since, packets, lastPacket}
let clock = null;

// showError says what went wrong; with reload, that only a new start helps.
function showError(text, reload) {
  $('error-text').textContent = sentence(text);
  $('error-reload').hidden = !reload;
  $('error-close').hidden = Boolean(reload);
  $('error').hidden = !text;
  if (text) $('error').scrollIntoView({ block: 'nearest' });
}

function sentence(text) {
  if (!text) return '';
  return text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.');
}

$('error-close').addEventListener('click', () => showError(''));
$('error-reload').addEventListener('click', () => location.reload());

async function post(path, body) {
  let resp;
  try {
    resp = await fetch('/browser/' + path, { method: 'POST', headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ session: me ? me.session : '', ...body }) });
  } catch {
    throw new Error(goneText);
  }
  const answer = await resp.json().catch(() => ({}));
  if (!resp.ok) throw new Error(answer.error || 'The simulator refused (' + resp.status + ').');
  return answer;
}

// --- the line to the simulator ---

function listen() {
  const events = new EventSource('/browser/events?session=' + encodeURIComponent(me.session));
  let away = null;
  events.onmessage = (e) => {
    const event = JSON.parse(e.data);
    const handler = handlers[event.type];
    if (handler) Promise.resolve(handler(event)).catch((err) => showError(err.message));
  };
  events.onopen = () => {
    clearTimeout(away);
    away = null;
    if ($('error-text').textContent === goneText) showError('');
  };
  events.onerror = () => {
    if (events.readyState === EventSource.CLOSED) {
      clearTimeout(away);
      drop('Disconnected');
      $('call').disabled = true;
      showError('The simulator was restarted, or this page was away for too long.', true);
    } else if (!away) {
      away = setTimeout(() => showError(goneText), 2000);
    }
  };
}

addEventListener('pagehide', () => {
  if (me) navigator.sendBeacon('/browser/leave', new Blob([JSON.stringify({ session: me.session })], { type: 'application/json' }));
});

// --- what the screen shows ---

function companyName() {
  const n = me.numbers.find((x) => x.id === $('number').value) || me.numbers[0];
  return (n && n.name) || 'The company';
}

function screen(part, status) {
  const focused = $('phone-card').contains(document.activeElement);
  for (const id of ['idle', 'ringing', 'incall']) $(id).hidden = id !== part;
  $('phone-card').classList.toggle('ring', part === 'ringing');
  $('status').textContent = status;
  document.title = (part === 'ringing' ? '☎ ' + $('company').textContent + ' is calling' : me.name) + ' · WhatsApp customer';
  // The button that had the focus may be gone: the keyboard goes on with the main one of what is shown now.
  if (focused) $({ idle: 'call', ringing: 'answer', incall: 'hangup' }[part]).focus({ preventScroll: true });
}

function idle(status) {
  clearInterval(clock);
  ringtone.stop();
  ringback.stop();
  $('call').disabled = false;
  $('company').textContent = companyName();
  screen('idle', status);
  $('timer').hidden = $('meters').hidden = $('tools').hidden = true;
  showKeypad(false);
  $('dialled').textContent = '';
  setMute(false);
}

function duration(ms) {
  const s = Math.floor(ms / 1000);
  return Math.floor(s / 60) + ':' + String(s % 60).padStart(2, '0');
}

function startTimer() {
  call.since = Date.now();
  call.lastPacket = Date.now();
  call.packets = 0;
  $('timer').hidden = $('meters').hidden = $('tools').hidden = false;
  const tick = async () => {
    if (!call) return;
    $('timer').textContent = duration(Date.now() - call.since);
    const current = call;
    const n = await current.media.packetsReceived();
    if (call !== current) return;
    if (n > current.packets) { current.packets = n; current.lastPacket = Date.now(); }
    if (Date.now() - current.lastPacket > silentLimit) {
      showError('No audio came from the company for 20 seconds, so the call was given up, as WhatsApp does.');
      await post('hangup', { call: current.id, reason: 'media' }).catch(() => {});
    }
  };
  clearInterval(clock);
  clock = setInterval(tick, 500);
  tick();
}

function endReason(end) {
  if (!end) return 'Call ended';
  switch (end.reason) {
    case 'no_answer': return 'No answer';
    case 'reject': return 'The company declined';
    case 'declined': return 'You declined';
    case 'closed': return 'The simulator stopped';
  }
  if (end.code) return 'The call failed (WhatsApp error ' + end.code + ')';
  const talked = call && call.since ? ' after ' + duration(Date.now() - call.since) : '';
  return (end.by === 'customer' ? 'You hung up' : 'The company hung up') + talked;
}

// --- calling ---

function newMedia() {
  return new Media((stream) => {
    $('far').srcObject = stream;
    $('far').play().catch(() => {});
    if (call) call.media.meter(stream, $('far-level'));
  }, () => {
    showError('The audio connection to the company failed. The appliance and this browser must reach each other by UDP; a VPN or firewall may be in the way.');
    if (call) post('hangup', { call: call.id, reason: 'media' }).catch(() => {});
  });
}

function drop(status) {
  if (call) {
    call.media.close();
    if (call.mic) for (const t of call.mic.getTracks()) t.stop();
  }
  call = null;
  idle(status);
}

// dial calls the company: from the phone's own button, or with the call button of a message.
async function dial(message) {
  if (call) return;
  showError('');
  $('call').disabled = true;
  let mic = null;
  try {
    mic = await openMicrophone();
    $('mic-hint').hidden = true;
    call = { id: '', media: newMedia(), outbound: false, state: 'dialling', mic };
    screen('incall', 'Calling…');
    const current = call;
    const sdp = await current.media.offer();
    if (call !== current) return;
    const id = (await post('call', { number: $('number').value, message, sdp })).call;
    if (call === current) call.id = call.id || id;
    else await post('hangup', { call: id }).catch(() => {}); // given up while the simulator placed it
  } catch (err) {
    if (mic) for (const t of mic.getTracks()) t.stop();
    drop('Ready when you are');
    showError(err.message);
  }
}

$('call').addEventListener('click', () => dial(''));

$('answer').addEventListener('click', async () => {
  if (!call) return;
  showError('');
  const current = call;
  try {
    $('answer').disabled = true;
    const mic = await openMicrophone();
    $('mic-hint').hidden = true;
    if (call !== current) { // the company gave up while the browser asked for the microphone
      for (const t of mic.getTracks()) t.stop();
      return;
    }
    current.mic = mic;
    ringtone.stop();
    await current.media.talk(mic);
    await post('accept', { call: current.id });
  } catch (err) { showError(err.message); } finally { $('answer').disabled = false; }
});

$('decline').addEventListener('click', () => call && post('decline', { call: call.id }).catch((err) => showError(err.message)));

$('hangup').addEventListener('click', async () => {
  if (!call) return;
  if (!call.id) { drop('Ready when you are'); return; }
  try { await post('hangup', { call: call.id }); } catch { drop('Ready when you are'); }
});

function setMute(on) {
  $('mute').setAttribute('aria-pressed', String(on));
  $('mute').textContent = on ? 'Muted' : 'Mute';
  $('mic-label').textContent = on ? 'You are muted' : 'You';
  if (call) call.media.mute(on);
}
$('mute').addEventListener('click', () => setMute($('mute').getAttribute('aria-pressed') !== 'true'));

function showKeypad(on) {
  $('pad').hidden = !on;
  $('keys').setAttribute('aria-expanded', String(on));
}
$('keys').addEventListener('click', () => showKeypad($('pad').hidden));

for (const d of '123456789*0#') {
  const b = document.createElement('button');
  b.textContent = d;
  b.addEventListener('click', () => press(d));
  $('keypad').append(b);
}

function press(d) {
  if (!call || call.state !== 'connected') return;
  if (!call.media.digit(d)) { showError('The company\'s side takes no keypad digits in this call.'); return; }
  showKeypad(true);
  $('dialled').textContent = ($('dialled').textContent + d).slice(-24);
}

addEventListener('keydown', (e) => {
  if (e.target instanceof HTMLInputElement || e.target instanceof HTMLSelectElement) return;
  if (/^[0-9*#]$/.test(e.key)) press(e.key);
});

// --- what the simulator tells ---

const handlers = {
  // The company calls: media is prepared at once, the phone rings with the next state.
  async offer(e) {
    if (call) return;
    showError('');
    const media = newMedia();
    call = { id: e.call, media, outbound: true, state: 'offered', name: e.name };
    try {
      await post('sdp', { call: e.call, sdp: await media.answer(e.sdp) });
    } catch (err) { drop('Ready when you are'); throw err; }
  },
  async answer(e) {
    if (call && !call.outbound) await call.media.accept(e.sdp);
  },
  async state(e) {
    if (!call) return;
    call.id = e.call;
    call.state = e.state;
    $('company').textContent = e.name || companyName();
    if (e.state === 'connected') {
      ringtone.stop();
      ringback.stop();
      screen('incall', 'Connected');
      startTimer();
      if (!call.outbound) await call.media.talk(call.mic);
      call.media.meter(call.mic, $('mic-level'));
    } else if (call.outbound) {
      screen('ringing', 'is calling you');
      ringtone.start();
    } else if (e.state === 'ringing' || e.state === 'pre_accepted') {
      $('status').textContent = 'Ringing…';
      ringback.start();
    }
  },
  ended(e) {
    if (call && (call.id === e.call || !call.id)) drop(endReason(e.end));
  },
  permission_request(e) {
    $('request-title').textContent = (e.name || 'The company') + ' would like to call you';
    $('request-text').textContent = e.text || '';
    $('request').dataset.message = e.message;
    $('request').dataset.number = e.number;
    $('request').hidden = false;
  },
  message(e) {
    const li = showMessage(e.text);
    if (!e.button) return;
    const b = document.createElement('button');
    b.textContent = e.button;
    b.addEventListener('click', () => dial(e.message));
    li.append(b);
  },
  live(e) {
    $('live-rows').replaceChildren(...e.calls.map(liveRow));
    $('live-none').hidden = e.calls.length !== 0;
  },
};

function showMessage(text) {
  const li = document.createElement('li');
  li.textContent = text;
  $('messages').append(li);
  $('messages').hidden = false;
  while ($('messages').children.length > 20) $('messages').firstChild.remove();
  return li;
}

function liveRow(c) {
  const inbound = c.direction === 'inbound';
  const agent = c.agent || (inbound ? 'the phones' : 'a phone');
  const since = c.started && !c.started.startsWith('0001') ? ', ' + new Date(c.started).toLocaleTimeString() : '';
  const li = document.createElement('li');
  for (const [tag, text, name] of [
    ['strong', inbound ? c.customer + ' → ' + agent : agent + ' → ' + c.customer, ''],
    ['span', c.state, 'state ' + c.state],
    ['span', (inbound ? 'The customer called' : 'The company called') + since, 'hint'],
  ]) {
    const part = document.createElement(tag);
    part.className = name;
    part.textContent = text;
    li.append(part);
  }
  return li;
}
