import { Button, Group, Menu, NativeSelect, Stack, Text, useComputedColorScheme } from '@mantine/core'
import { useElementSize } from '@mantine/hooks'
import IconDownload from '@tabler/icons-react/dist/esm/icons/IconDownload.mjs'
import IconPlayerPause from '@tabler/icons-react/dist/esm/icons/IconPlayerPause.mjs'
import IconPlayerPlay from '@tabler/icons-react/dist/esm/icons/IconPlayerPlay.mjs'
import { useQuery } from '@tanstack/react-query'
import { type KeyboardEvent, type PointerEvent, useEffect, useMemo, useRef, useState } from 'react'
import { audioURL, downloadURL, formats, type Recording, recordingPeaks } from '../api/desk'
import { useText } from '../i18n/text'
import { duration } from '../lib/format'
import { columns, points, seek } from '../lib/peaks'

const speeds = ['0.5', '0.75', '1', '1.25', '1.5', '2']
const height = 120 // CSS pixels of both lanes
const bar = 3 // CSS pixels of a column with its gap

/** Plays one recording: above the customer, below the agent. Nothing is fetched of the sound before somebody plays it. */
export function Player({ recording }: { recording: Recording }) {
  const { t, coded } = useText()
  const audio = useRef<HTMLAudioElement>(null)
  const [playing, setPlaying] = useState(false)
  const [at, setAt] = useState(0)
  const [failed, setFailed] = useState(false)
  const [speed, setSpeed] = useState('1')
  const length = recording.duration_seconds
  const source = useMemo(() => audioURL(recording.id, playable()), [recording.id])
  usePosition(audio, playing, setAt)
  const toggle = () => {
    const a = audio.current
    if (!a) return
    setFailed(false)
    if (a.paused) void a.play().catch(() => setFailed(true))
    else a.pause()
  }
  const go = (to: number) => {
    setAt(to)
    if (audio.current) audio.current.currentTime = to
  }
  return (
    <Stack gap="xs">
      {/* biome-ignore lint/a11y/useMediaCaption: a call has no captions; its transcript has an own place on the page */}
      <audio
        ref={audio}
        src={source}
        preload="none"
        onPlay={(e) => {
          e.currentTarget.playbackRate = Number(speed)
          if (Math.abs(e.currentTarget.currentTime - at) > 0.5) e.currentTarget.currentTime = at
          setPlaying(true)
        }}
        onPause={() => setPlaying(false)}
        onEnded={() => setPlaying(false)}
        onError={() => {
          setPlaying(false)
          setFailed(true)
        }}
      />
      <Waveform recording={recording} at={at} go={go} toggle={toggle} />
      <Group gap="sm" align="flex-end">
        <Button
          onClick={toggle}
          leftSection={playing ? <IconPlayerPause size={16} aria-hidden /> : <IconPlayerPlay size={16} aria-hidden />}
        >
          {t(playing ? 'player.pause' : 'player.play')}
        </Button>
        <Text className="tabular" pb={6}>
          {t('player.time', { at: duration(at), of: duration(length) })}
        </Text>
        <NativeSelect
          w="6rem"
          aria-label={t('player.speed')}
          data={speeds.map((s) => ({ value: s, label: t('player.times', { n: s }) }))}
          value={speed}
          onChange={(e) => {
            setSpeed(e.currentTarget.value)
            if (audio.current) audio.current.playbackRate = Number(e.currentTarget.value)
          }}
        />
        <Download id={recording.id} />
      </Group>
      {failed && (
        <Text role="alert" size="sm" c="red">
          {t('player.failed')}
        </Text>
      )}
      <Marks recording={recording} go={go} name={(kind) => coded('mark', kind.replaceAll(' ', '_'))} />
    </Stack>
  )
}

/** Opus in Ogg is a tenth of WAV; browsers that do not play it get WAV. */
function playable(): 'ogg' | 'wav' {
  return document.createElement('audio').canPlayType('audio/ogg; codecs=opus') === '' ? 'wav' : 'ogg'
}

/** Follows the sound at every frame while it plays: the browser's own event comes four times a second only. */
function usePosition(audio: { current: HTMLAudioElement | null }, playing: boolean, set: (at: number) => void) {
  useEffect(() => {
    if (!playing) return
    let frame = 0
    const follow = () => {
      if (audio.current) set(audio.current.currentTime)
      frame = requestAnimationFrame(follow)
    }
    frame = requestAnimationFrame(follow)
    return () => cancelAnimationFrame(frame)
  }, [audio, playing, set])
}

function Waveform({
  recording,
  at,
  go,
  toggle,
}: {
  recording: Recording
  at: number
  go: (to: number) => void
  toggle: () => void
}) {
  const { t } = useText()
  const scheme = useComputedColorScheme()
  const { ref, width } = useElementSize<HTMLDivElement>()
  const canvas = useRef<HTMLCanvasElement>(null)
  const length = recording.duration_seconds
  const peaks = useQuery({
    queryKey: ['peaks', recording.id],
    queryFn: () => recordingPeaks(recording.id),
    staleTime: Number.POSITIVE_INFINITY,
    refetchInterval: (q) => (q.state.data === null ? 2_000 : false),
  })
  const count = Math.max(1, Math.floor(width / bar))
  const lanes = useMemo(() => {
    const p = peaks.data
    return p ? [columns(points(p.customer), count), columns(points(p.agent), count)] : undefined
  }, [peaks.data, count])
  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours are read from the page, which changes with the scheme
  useEffect(() => {
    if (canvas.current && lanes && width > 0) {
      draw(canvas.current, width, lanes, length > 0 ? at / length : 0, markPlaces(recording))
    }
  }, [lanes, width, at, length, recording, scheme])
  const key = (e: KeyboardEvent) => {
    const to = seek(e.key, at, length)
    if (e.key === ' ') toggle()
    else if (to !== undefined) go(to)
    else return
    e.preventDefault()
  }
  const point = (e: PointerEvent<HTMLDivElement>) => {
    if (e.type === 'pointermove' && e.buttons !== 1) return
    const box = e.currentTarget.getBoundingClientRect()
    if (box.width > 0) go(Math.min(1, Math.max(0, (e.clientX - box.left) / box.width)) * length)
  }
  return (
    <div>
      <div
        ref={ref}
        className="wave"
        role="slider"
        tabIndex={0}
        aria-label={t('player.position')}
        aria-valuemin={0}
        aria-valuemax={Math.round(length)}
        aria-valuenow={Math.round(at)}
        aria-valuetext={t('player.time', { at: duration(at), of: duration(length) })}
        onKeyDown={key}
        onPointerDown={point}
        onPointerMove={point}
      >
        <canvas ref={canvas} aria-hidden style={{ width: '100%', height }} />
        <span className="lane lane-customer">{t('player.customer')}</span>
        <span className="lane lane-agent">{t('player.agent')}</span>
      </div>
      {!peaks.data && (
        <Text size="sm" c="dimmed" role="status">
          {t(peaks.isError ? 'player.noWave' : 'player.computing')}
        </Text>
      )}
      <Text size="xs" c="dimmed">
        {t('player.keys')}
      </Text>
    </div>
  )
}

function markPlaces(r: Recording): number[] {
  return r.duration_seconds > 0 ? (r.marks ?? []).map((m) => m.at_seconds / r.duration_seconds) : []
}

/** Draws both lanes, what was played in the lane's colour; marks and the position as lines over both. */
function draw(canvas: HTMLCanvasElement, width: number, lanes: number[][], done: number, marks: number[]) {
  const scale = window.devicePixelRatio || 1
  canvas.width = Math.round(width * scale)
  canvas.height = Math.round(height * scale)
  const c = canvas.getContext('2d')
  if (!c) return
  const color = (name: string) => getComputedStyle(canvas).getPropertyValue(name)
  const played = [color('--mantine-color-leaf-filled'), color('--mantine-color-blue-filled')]
  c.scale(scale, scale)
  c.clearRect(0, 0, width, height)
  const half = height / 2
  for (const [lane, levels] of lanes.entries()) {
    const middle = half * lane + half / 2
    for (const [i, level] of levels.entries()) {
      const tall = Math.max(1, level * (half - 8))
      c.fillStyle = (i + 0.5) / levels.length <= done ? (played[lane] ?? '') : color('--mantine-color-dimmed')
      c.fillRect(i * bar, middle - tall / 2, bar - 1, tall)
    }
  }
  c.fillStyle = color('--mantine-color-orange-filled')
  for (const m of marks) c.fillRect(Math.round(m * width), 0, 1, height)
  c.fillStyle = color('--mantine-color-text')
  c.fillRect(Math.min(width - 2, Math.round(done * width)), 0, 2, height)
}

function Marks({
  recording,
  go,
  name,
}: {
  recording: Recording
  go: (to: number) => void
  name: (k: string) => string
}) {
  const { t } = useText()
  const marks = recording.marks ?? []
  if (marks.length === 0) return null
  return (
    <Group component="ul" gap="xs" className="cards" aria-label={t('player.marks')}>
      {marks.map((m, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: marks keep their order and have no other name
        <li key={i}>
          <Button size="compact-xs" variant="default" onClick={() => go(m.at_seconds)}>
            {t('player.mark', { at: duration(m.at_seconds), name: name(m.kind) })}
          </Button>
        </li>
      ))}
    </Group>
  )
}

function Download({ id }: { id: string }) {
  const { t } = useText()
  return (
    <Menu position="bottom-start">
      <Menu.Target>
        <Button variant="default" leftSection={<IconDownload size={16} aria-hidden />}>
          {t('player.download')}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{t('player.audited')}</Menu.Label>
        {formats.map((f) => (
          <Menu.Item key={f} component="a" href={downloadURL(id, f)} download>
            {t(`player.format.${f}`)}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  )
}
