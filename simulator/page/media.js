'use strict';
// The microphone, the PeerConnection and the two level meters. Knows nothing of signalling.

const gatherLimit = 2500; // ms; there is no trickle, what is gathered by then must do

function explainMicrophone(err) {
  if (!window.isSecureContext || !navigator.mediaDevices) {
    return 'The browser only allows the microphone on a safe page. Open this page as http://localhost (or through HTTPS), not by another address.';
  }
  switch (err && err.name) {
    case 'NotAllowedError':
      return 'The microphone is blocked. Click the lock or camera symbol beside the address, allow the microphone for this page, then try again.';
    case 'NotFoundError':
      return 'No microphone was found. Plug one in (or choose one in the system settings) and try again.';
    case 'NotReadableError':
      return 'The microphone is used by another program. Close that program and try again.';
    default:
      return 'The microphone could not be opened: ' + (err && err.message ? err.message : err);
  }
}

async function openMicrophone() {
  if (!window.isSecureContext || !navigator.mediaDevices) throw new Error(explainMicrophone(null));
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true } });
  } catch (err) {
    throw new Error(explainMicrophone(err));
  }
}

class Media {
  constructor(onRemote, onFailed) {
    this.pc = new RTCPeerConnection({ iceServers: [], bundlePolicy: 'max-bundle' });
    this.stream = null;
    this.meters = [];
    this.closed = false;
    this.pc.ontrack = (e) => {
      const remote = e.streams[0] || new MediaStream([e.track]);
      onRemote(remote);
    };
    this.pc.onconnectionstatechange = () => {
      if (this.pc.connectionState === 'failed') onFailed();
    };
  }

  sender() {
    const t = this.pc.getTransceivers()[0];
    return t ? t.sender : null;
  }

  async gathered() {
    if (this.pc.iceGatheringState !== 'complete') {
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, gatherLimit);
        this.pc.addEventListener('icegatheringstatechange', () => {
          if (this.pc.iceGatheringState === 'complete') { clearTimeout(timer); resolve(); }
        });
      });
    }
    return this.pc.localDescription.sdp;
  }

  async offer() {
    this.pc.addTransceiver('audio', { direction: 'sendrecv' });
    await this.pc.setLocalDescription(await this.pc.createOffer());
    return this.gathered();
  }

  async answer(sdp) {
    await this.pc.setRemoteDescription({ type: 'offer', sdp });
    const t = this.pc.getTransceivers()[0];
    if (!t) throw new Error('the company offered no audio');
    t.direction = 'sendrecv';
    await this.pc.setLocalDescription(await this.pc.createAnswer());
    return this.gathered();
  }

  accept(sdp) {
    return this.pc.setRemoteDescription({ type: 'answer', sdp });
  }

  // A WhatsApp phone is silent until the call is answered, so the microphone joins only now.
  async talk(stream) {
    this.stream = stream;
    await this.sender().replaceTrack(stream.getAudioTracks()[0]);
  }

  mute(on) {
    if (this.stream) for (const t of this.stream.getAudioTracks()) t.enabled = !on;
  }

  digit(d) {
    const s = this.sender();
    if (!s || !s.dtmf || !s.dtmf.canInsertDTMF) return false;
    s.dtmf.insertDTMF(s.dtmf.toneBuffer + d, 120, 70);
    return true;
  }

  async packetsReceived() {
    let n = 0;
    for (const r of (await this.pc.getStats()).values()) if (r.type === 'inbound-rtp') n += r.packetsReceived || 0;
    return n;
  }

  meter(stream, element) {
    const ctx = audioContext();
    const source = ctx.createMediaStreamSource(stream);
    const analyser = ctx.createAnalyser();
    analyser.fftSize = 512;
    source.connect(analyser);
    const data = new Float32Array(analyser.fftSize);
    const draw = () => {
      if (this.closed) { source.disconnect(); element.value = 0; return; }
      analyser.getFloatTimeDomainData(data);
      let sum = 0;
      for (const v of data) sum += v * v;
      // Loudness is heard in decibels: -60 dB is an empty meter, 0 dB a full one.
      const db = 20 * Math.log10(Math.sqrt(sum / data.length) || 1e-6);
      element.value = Math.max(0, Math.min(1, 1 + db / 60));
      requestAnimationFrame(draw);
    };
    draw();
  }

  close() {
    this.closed = true;
    this.pc.close();
    if (this.stream) for (const t of this.stream.getTracks()) t.stop();
  }
}

let sharedContext = null;
function audioContext() {
  if (!sharedContext) sharedContext = new AudioContext();
  if (sharedContext.state === 'suspended') sharedContext.resume();
  return sharedContext;
}

// A short two-tone ring or ringback, until stopped.
class Ring {
  constructor(low, high, on, off) { Object.assign(this, { low, high, on, off, timer: null }); }
  start() {
    if (this.timer) return;
    const beep = () => {
      const ctx = audioContext();
      const gain = ctx.createGain();
      gain.gain.value = 0.06;
      gain.connect(ctx.destination);
      for (const hz of [this.low, this.high]) {
        const o = ctx.createOscillator();
        o.frequency.value = hz;
        o.connect(gain);
        o.start();
        o.stop(ctx.currentTime + this.on / 1000);
      }
    };
    beep();
    this.timer = setInterval(beep, this.on + this.off);
  }
  stop() { clearInterval(this.timer); this.timer = null; }
}
