import { Button, Group, Stack, Textarea, TextInput } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { type FormEvent, type ReactNode, useState } from 'react'
import { blockCustomer, overrideLimits, unblockCustomer } from '../api/desk'
import { useText } from '../i18n/text'
import { Dialog } from '../kit/dialog'
import { useNotify } from '../kit/notify'
import { Failure } from '../kit/problem'
import { explain } from '../lib/decision'

/** Puts a customer on the blocklist and takes them off again, with the reason that the audit log keeps. */
export function Guard({ id, blocked, done }: { id: string; blocked: boolean; done: () => void }) {
  const { t } = useText()
  const [open, setOpen] = useState(false)
  const words = blocked ? 'guard.unblock' : 'guard.block'
  return (
    <>
      <Button variant="default" onClick={() => setOpen(true)}>
        {t(words)}
      </Button>
      {open && (
        <Reasoned
          title={t(words)}
          text={t(blocked ? 'guard.unblockText' : 'guard.blockText')}
          action={t(words)}
          run={(reason) => (blocked ? unblockCustomer(id, reason) : blockCustomer(id, reason))}
          done={done}
          close={() => setOpen(false)}
        />
      )}
    </>
  )
}

const day = 24 * 3600_000 // ms; an override lasts no longer

/** Lifts the profile's limits for one customer over one line for a time; Meta's own limits stay. */
export function OverrideButton({ id, line, done }: { id: string; line: string; done: () => void }) {
  const { t, f } = useText()
  const [open, setOpen] = useState(false)
  const [until, setUntil] = useState('')
  const [now] = useState(() => localMinute(new Date()))
  const [most] = useState(() => localMinute(new Date(Date.now() + day)))
  const wrong = until !== '' && (until <= now || until > most)
  return (
    <>
      <Button mt="xs" size="xs" variant="default" onClick={() => setOpen(true)}>
        {t('guard.override')}
      </Button>
      {open && (
        <Reasoned
          title={t('guard.override')}
          text={t('guard.overrideText')}
          action={t('guard.overrideDo')}
          ready={until !== '' && !wrong}
          run={async (reason) => {
            const { decision: d } = await overrideLimits(id, { line, reason, until: new Date(until).toISOString() })
            return d.override ? undefined : t('guard.overrideNot', { why: explain(t, f, d) })
          }}
          done={done}
          close={() => setOpen(false)}
        >
          <TextInput
            type="datetime-local"
            label={t('guard.until')}
            min={now}
            max={most}
            value={until}
            onChange={(e) => setUntil(e.currentTarget.value)}
            error={wrong && t('guard.wrongTime')}
            required
          />
        </Reasoned>
      )}
    </>
  )
}

/** A time as a field of type datetime-local writes it. */
export function localMinute(d: Date): string {
  return new Date(d.getTime() - d.getTimezoneOffset() * 60_000).toISOString().slice(0, 16)
}

function Reasoned({
  title,
  text,
  action,
  ready = true,
  run,
  done,
  close,
  children,
}: {
  title: string
  text: string
  action: string
  ready?: boolean
  /** What people should know of it afterwards besides that it is done, if anything. */
  run: (reason: string) => Promise<unknown>
  done: () => void
  close: () => void
  children?: ReactNode
}) {
  const { t } = useText()
  const [reason, setReason] = useState('')
  const [tried, setTried] = useState(false)
  const notify = useNotify()
  const m = useMutation({
    mutationFn: () => run(reason.trim()),
    onSuccess: (word) => {
      notify(typeof word === 'string' && word !== '' ? word : t('app.saved'))
      close()
      done()
    },
  })
  const submit = (e: FormEvent) => {
    e.preventDefault()
    setTried(true)
    if (reason.trim() !== '' && ready) m.mutate()
  }
  return (
    <Dialog title={title} close={close}>
      <form onSubmit={submit} noValidate>
        <Stack>
          <p style={{ margin: 0 }}>{text}</p>
          {children}
          <Textarea
            label={t('guard.reason')}
            description={t('guard.reasonHint')}
            value={reason}
            onChange={(e) => setReason(e.currentTarget.value)}
            maxLength={200}
            required
            data-autofocus
            error={tried && reason.trim() === '' && t('field.required')}
          />
          {m.isError && <Failure error={m.error} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              {t('app.cancel')}
            </Button>
            <Button type="submit" loading={m.isPending} disabled={!ready}>
              {action}
            </Button>
          </Group>
        </Stack>
      </form>
    </Dialog>
  )
}
