'use strict';
// The customer's phone: one person, at most one call.

const $ = (id) => document.getElementById(id);
const ringtone = new Ring(440, 554, 900, 1400);
const ringback = new Ring(400, 450, 1000, 3000);
const silentLimit = 20000; // ms without any audio of the company: WhatsApp gives up as well

let me = null;       // what the simulator made of us
let call = null;     // {id, media, outbound, state, mic, since, packets, lastPacket}
let clock = null;

function showError(text) { $('error').textContent = text; $('error').hidden = !text; }

async function post(path, body) {
  let resp;
  try {
    resp = await fetch('/browser/' + path, { method: 'POST', headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ session: me ? me.session : '', ...body }) });
  } catch {
    throw new Error('The simulator does not answer. Is it still running?');
  }
  const answer = await resp.json().catch(() => ({}));
  if (!resp.ok) throw new Error(answer.error || 'The simulator refused (' + resp.status + ').');
  return answer;
}

// --- signing in ---

$('name').value = 'Customer ' + String.fromCharCode(65 + Math.floor(Math.random() * 26));
$('phone').value = '+6281' + Math.floor(10000000 + Math.random() * 89999999);

$('signin-form').addEventListener('submit', async (e) => {
  e.preventDefault();
  showError('');
  try {
    const wish = $('first-permission').value;
    me = await post('register', { name: $('name').value, phone: $('phone').value, permission: wish });
    $('permission').value = wish;
  } catch (err) { showError(err.message); return; }
  $('signin').hidden = true;
  for (const id of ['phone-card', 'me']) $(id).hidden = false;
  $('live').hidden = !me.live;
  $('me-name').textContent = me.name;
  $('me-phone').textContent = me.phone ? '+' + me.phone : 'number hidden (' + me.user + ')';
  $('me-dial').textContent = me.phone ? '+' + me.phone : 'the alias the company\'s phone showed when you called';
  for (const n of me.numbers) {
    const o = document.createElement('option');
    o.value = n.id;
    o.textContent = (n.name || 'The company') + ' · +' + n.number;
    $('number').append(o);
  }
  $('number').hidden = $('number-label').hidden = me.numbers.length < 2;
  idle('Ready');
  listen();
  document.title = me.name + ' · WhatsApp customer';
});

function listen() {
  const events = new EventSource('/browser/events?session=' + encodeURIComponent(me.session));
  events.onmessage = (e) => {
    const event = JSON.parse(e.data);
    const handler = handlers[event.type];
    if (handler) Promise.resolve(handler(event)).catch((err) => showError(err.message));
  };
  events.onerror = () => {
    if (events.readyState === EventSource.CLOSED) showError('The connection to the simulator was lost. Reload the page.');
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
  for (const id of ['idle', 'ringing', 'incall']) $(id).hidden = id !== part;
  $('phone-card').classList.toggle('ring', part === 'ringing');
  $('status').textContent = status;
}

function idle(status) {
  clearInterval(clock);
  ringtone.stop();
  ringback.stop();
  screen('idle', status);
  $('company').textContent = companyName();
  $('timer').hidden = $('meters').hidden = $('keypad').hidden = $('dialled').hidden = true;
  $('dialled').textContent = '';
  $('keys').setAttribute('aria-expanded', 'false');
  setMute(false);
  $('call').disabled = false;
}

function startTimer() {
  call.since = Date.now();
  call.lastPacket = Date.now();
  call.packets = 0;
  $('timer').hidden = $('meters').hidden = false;
  const tick = async () => {
    if (!call) return;
    const s = Math.floor((Date.now() - call.since) / 1000);
    $('timer').textContent = Math.floor(s / 60) + ':' + String(s % 60).padStart(2, '0');
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
  if (end.code) return 'Call failed (' + end.code + ')';
  switch (end.reason) {
    case 'no_answer': return 'No answer';
    case 'reject': return 'The company declined';
    case 'declined': return 'Declined';
    case 'closed': return 'The simulator stopped';
    default: return end.by === 'customer' ? 'You hung up' : 'The company hung up';
  }
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

$('call').addEventListener('click', async () => {
  if (call) return;
  showError('');
  $('call').disabled = true;
  let mic = null;
  try {
    mic = await openMicrophone();
    call = { id: '', media: newMedia(), outbound: false, state: 'dialling', mic };
    screen('incall', 'Calling…');
    const sdp = await call.media.offer();
    const id = (await post('call', { number: $('number').value, sdp })).call;
    if (call) call.id = call.id || id;
  } catch (err) {
    if (mic) for (const t of mic.getTracks()) t.stop();
    drop('Ready');
    showError(err.message);
  }
});

$('answer').addEventListener('click', async () => {
  if (!call) return;
  showError('');
  const current = call;
  try {
    $('answer').disabled = true;
    current.mic = await openMicrophone();
    ringtone.stop();
    await current.media.talk(current.mic);
    await post('accept', { call: current.id });
  } catch (err) { showError(err.message); } finally { $('answer').disabled = false; }
});

$('decline').addEventListener('click', () => call && post('decline', { call: call.id }).catch((err) => showError(err.message)));

$('hangup').addEventListener('click', async () => {
  if (!call) return;
  if (!call.id) { drop('Ready'); return; }
  try { await post('hangup', { call: call.id }); } catch { drop('Ready'); }
});

function setMute(on) {
  $('mute').setAttribute('aria-pressed', String(on));
  $('mute').textContent = on ? 'Unmute' : 'Mute';
  if (call) call.media.mute(on);
}
$('mute').addEventListener('click', () => setMute($('mute').getAttribute('aria-pressed') !== 'true'));

$('keys').addEventListener('click', () => {
  $('keypad').hidden = !$('keypad').hidden;
  $('keys').setAttribute('aria-expanded', String(!$('keypad').hidden));
});

for (const d of '123456789*0#') {
  const b = document.createElement('button');
  b.textContent = d;
  b.addEventListener('click', () => press(d));
  $('keypad').append(b);
}

function press(d) {
  if (!call || call.state !== 'connected') return;
  if (!call.media.digit(d)) { showError('The company\'s side takes no keypad digits in this call.'); return; }
  $('dialled').textContent = ($('dialled').textContent + d).slice(-24);
  $('dialled').hidden = false;
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
    } catch (err) { drop('Ready'); throw err; }
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
    const li = document.createElement('li');
    li.textContent = e.text;
    $('messages').append(li);
    while ($('messages').children.length > 20) $('messages').firstChild.remove();
  },
  live(e) {
    const rows = e.calls.map((c) => {
      const tr = document.createElement('tr');
      const since = c.started && !c.started.startsWith('0001') ? new Date(c.started).toLocaleTimeString() : '';
      for (const v of [c.direction, c.customer, c.agent, c.state, since]) {
        const td = document.createElement('td');
        td.textContent = v || '–';
        tr.append(td);
      }
      return tr;
    });
    $('live-rows').replaceChildren(...rows);
    $('live-table').hidden = rows.length === 0;
    $('live-none').hidden = rows.length !== 0;
  },
};

for (const b of document.querySelectorAll('[data-attitude]')) {
  b.addEventListener('click', async () => {
    const box = $('request');
    try {
      const r = await post('reply', { message: box.dataset.message, number: box.dataset.number, attitude: b.dataset.attitude });
      $('permission').value = r.permission;
      box.hidden = true;
    } catch (err) { showError(err.message); }
  });
}

$('permission').addEventListener('change', () => post('permission', { permission: $('permission').value }).catch((err) => showError(err.message)));
