/** Base64 of bytes. Anything else is no point at all. */
export function points(base64: string): Uint8Array {
  try {
    return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))
  } catch {
    return new Uint8Array()
  }
}

/** The loudest point of each of n columns, 0 to 1. With more columns than points, neighbours share one. */
export function columns(p: Uint8Array, n: number): number[] {
  const out = new Array<number>(Math.max(0, n)).fill(0)
  if (p.length === 0) return out
  for (let i = 0; i < n; i++) {
    const from = Math.floor((i * p.length) / n)
    const to = Math.max(from + 1, Math.floor(((i + 1) * p.length) / n))
    let top = 0
    for (let j = from; j < to && j < p.length; j++) top = Math.max(top, p[j] ?? 0)
    out[i] = top / 255
  }
  return out
}

const step = 5 // s
const leap = 30 // s

/** Where a key of the keyboard leads from a position, in seconds; undefined: the key means nothing here. */
export function seek(key: string, at: number, length: number): number | undefined {
  const to: Record<string, number> = {
    ArrowLeft: at - step,
    ArrowDown: at - step,
    ArrowRight: at + step,
    ArrowUp: at + step,
    PageDown: at - leap,
    PageUp: at + leap,
    Home: 0,
    End: length,
  }
  const t = to[key]
  return t === undefined ? undefined : Math.min(length, Math.max(0, t))
}
