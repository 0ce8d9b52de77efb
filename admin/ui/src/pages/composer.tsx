import { Button, Group, NativeSelect, Stack, Text, Textarea } from '@mantine/core'
import IconSend from '@tabler/icons-react/dist/esm/icons/IconSend.mjs'
import { useMutation } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { type CustomerLine, sendMessage } from '../api/desk'
import { useText } from '../i18n/text'
import { useOnce } from '../kit/once'
import { Failure } from '../kit/problem'
import { type Chosen, fillTemplate, NotSent, TemplatePicker, useTemplates } from '../kit/sending'
import { ahead } from '../lib/decision'
import { safe } from '../lib/safe'

/** Writes to the customer: anything within 24 hours of their last word or call, afterwards an approved template. */
export function Composer({ id, lines, refresh }: { id: string; lines: CustomerLine[]; refresh: () => void }) {
  const { t } = useText()
  const [chosen, setChosen] = useState('')
  // Without a choice: the line over which the customer spoke last.
  const line = lines.find((l) => l.line === chosen) ?? [...lines].sort((a, b) => until(b) - until(a))[0]
  if (!line) return null
  return (
    <Stack gap="sm">
      {lines.length > 1 && (
        <NativeSelect
          label={t('composer.line')}
          data={lines.map((l) => ({ value: l.line, label: safe(l.name) || l.line }))}
          value={line.line}
          onChange={(e) => setChosen(e.currentTarget.value)}
          maw="20rem"
        />
      )}
      <Writing key={line.line} id={id} line={line} refresh={refresh} />
    </Stack>
  )
}

function until(l: CustomerLine): number {
  return l.window_until ? Date.parse(l.window_until) : 0
}

function Writing({ id, line, refresh }: { id: string; line: CustomerLine; refresh: () => void }) {
  const { t, f } = useText()
  const open = ahead(line.window_until, Date.now())
  const [text, setText] = useState('')
  const [chosen, setChosen] = useState<Chosen>({ key: '', values: [] })
  const [picking, setPicking] = useState(false)
  const once = useOnce()
  const list = useTemplates(line.line, undefined)
  const template = fillTemplate(list.data ?? [], chosen)
  const send = useMutation({
    mutationFn: () => {
      const body = open ? { line: line.line, text: text.trim() } : { line: line.line, template }
      return sendMessage(id, body, once.key(body))
    },
    onSuccess: (sent) => {
      refresh()
      once.next()
      if (!sent.sent) return
      setText('')
      setChosen({ key: '', values: [] })
      setPicking(false)
    },
  })
  const ready = open ? text.trim() !== '' : template !== undefined
  const submit = (e: FormEvent) => {
    e.preventDefault()
    if (ready) send.mutate()
  }
  return (
    <form onSubmit={submit}>
      <Stack gap="sm">
        {open ? (
          <Textarea
            label={t('composer.text')}
            description={t('customer.window', { at: f.dateTime(line.window_until) })}
            value={text}
            onChange={(e) => setText(e.currentTarget.value)}
            autosize
            minRows={2}
            maxRows={8}
            maxLength={4096}
          />
        ) : (
          <>
            <Text size="sm">{t('customer.noWindow')}</Text>
            {picking ? (
              <TemplatePicker query={list} chosen={chosen} choose={setChosen} />
            ) : (
              <Group>
                <Button variant="default" onClick={() => setPicking(true)}>
                  {t('composer.pick')}
                </Button>
              </Group>
            )}
          </>
        )}
        {send.isError && <Failure error={send.error} />}
        {send.data && !send.data.sent && <NotSent sent={send.data} />}
        {(open || picking) && (
          <Group justify="flex-end">
            <Button
              type="submit"
              disabled={!ready}
              loading={send.isPending}
              leftSection={<IconSend size={16} aria-hidden />}
            >
              {t('sending.send')}
            </Button>
          </Group>
        )}
      </Stack>
    </form>
  )
}
