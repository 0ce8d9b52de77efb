import { Button, Group, Menu, Stack, Switch, Text, Textarea } from '@mantine/core'
import IconMessage2 from '@tabler/icons-react/dist/esm/icons/IconMessage2.mjs'
import IconPhone from '@tabler/icons-react/dist/esm/icons/IconPhone.mjs'
import IconPhoneCall from '@tabler/icons-react/dist/esm/icons/IconPhoneCall.mjs'
import IconPhoneOutgoing from '@tabler/icons-react/dist/esm/icons/IconPhoneOutgoing.mjs'
import { useMutation } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { askPermission, type CustomerLine, callCustomer, type Decision, sendButton, sendMessage } from '../api/desk'
import { useMe } from '../app/session'
import { useText } from '../i18n/text'
import { Confirm } from '../kit/confirm'
import { Verdict } from '../kit/decision'
import { Dialog } from '../kit/dialog'
import { useNotify } from '../kit/notify'
import { useOnce } from '../kit/once'
import { Failure } from '../kit/problem'
import { type Chosen, fillTemplate, NotSent, Preview, TemplatePicker, useTemplates } from '../kit/sending'
import { ahead, explain } from '../lib/decision'

/** The Call menu: what the rules refuse is there with its reason, and cannot be chosen. */
export function CallMenu({ id, line, done }: { id: string; line: CustomerLine; done: () => void }) {
  const { t, f } = useText()
  const { user } = useMe()
  const [doing, setDoing] = useState<'ask' | 'button' | 'call'>()
  const close = () => setDoing(undefined)
  const item = (what: 'ask' | 'button' | 'call', d: Decision, icon: typeof IconPhone, more = '') => {
    const Icon = icon
    const why = more || (d.allowed && !d.warning && !d.template ? '' : explain(t, f, d))
    const may = more === '' && (d.allowed || (what === 'button' && d.rule === 'window.closed'))
    // What is refused stays in reach of the keyboard, so that its reason can be read.
    return (
      <Menu.Item
        leftSection={<Icon size={16} aria-hidden />}
        aria-disabled={!may}
        c={may ? undefined : 'dimmed'}
        closeMenuOnClick={may}
        onClick={may ? () => setDoing(what) : undefined}
      >
        {t(`customer.${what}`)}
        {why && (
          <Text size="xs" maw="18rem">
            {why}
          </Text>
        )}
      </Menu.Item>
    )
  }
  return (
    <>
      <Menu position="bottom-end">
        <Menu.Target>
          <Button leftSection={<IconPhone size={16} aria-hidden />}>{t('customer.menu')}</Button>
        </Menu.Target>
        <Menu.Dropdown>
          {item('ask', line.ask, IconMessage2)}
          {item('button', line.button, IconPhoneCall)}
          {item('call', line.call, IconPhoneOutgoing, user.targets.length === 0 ? t('customer.noPhone') : '')}
        </Menu.Dropdown>
      </Menu>
      {doing === 'ask' && <SendDialog what="ask" id={id} line={line} done={done} close={close} />}
      {doing === 'button' && <SendDialog what="button" id={id} line={line} done={done} close={close} />}
      {doing === 'call' && <CallDialog id={id} line={line.line} decision={line.call} done={done} close={close} />}
    </>
  )
}

/** Rings the user's own telephone first, then the customer. */
export function CallDialog({
  id,
  line,
  decision,
  done,
  close,
}: {
  id: string
  line: string
  decision?: Decision
  done: () => void
  close: () => void
}) {
  const { t } = useText()
  const once = useOnce()
  const notify = useNotify()
  return (
    <Confirm
      title={t('customer.callTitle')}
      text={t('customer.callText')}
      action={t('customer.call')}
      danger={false}
      run={() => callCustomer(id, line, once.key({ id, line }))}
      done={() => {
        notify(t('customer.calling'))
        done()
      }}
      close={close}
    >
      {decision && <Verdict decision={decision} />}
    </Confirm>
  )
}

/** A permission request or a call button: own words inside the 24 hours after the customer wrote or called, else a template. */
function SendDialog({
  what,
  id,
  line,
  done,
  close,
}: {
  what: 'ask' | 'button'
  id: string
  line: CustomerLine
  done: () => void
  close: () => void
}) {
  const { t, f } = useText()
  const decision = line[what]
  const window = ahead(line.window_until, Date.now()) && !decision.template
  const [template, setTemplate] = useState(!window)
  const [text, setText] = useState('')
  const [chosen, setChosen] = useState<Chosen>({ key: '', values: [] })
  const once = useOnce()
  const notify = useNotify()
  const list = useTemplates(line.line, what === 'ask' ? 'permission' : 'button')
  const filledIn = fillTemplate(list.data ?? [], chosen)
  const send = useMutation({
    mutationFn: () => {
      const body = template
        ? { line: line.line, template: filledIn }
        : { line: line.line, text: text.trim() || undefined }
      const key = once.key({ what, body })
      if (what === 'ask') return askPermission(id, body, key)
      // A button in a template is a template message.
      return template ? sendMessage(id, body, key) : sendButton(id, body, key)
    },
    onSuccess: (sent) => {
      done()
      once.next()
      if (!sent.sent) return
      notify(t('sending.sent'))
      close()
    },
  })
  const submit = (e: FormEvent) => {
    e.preventDefault()
    if (!template || filledIn) send.mutate()
  }
  return (
    <Dialog title={t(`customer.${what}`)} close={close}>
      <form onSubmit={submit}>
        <Stack>
          <Text size="sm">{t(`customer.${what}Text`)}</Text>
          <Text size="sm" c="dimmed">
            {window ? t('customer.window', { at: f.dateTime(line.window_until) }) : t('customer.noWindow')}
          </Text>
          {window && (
            <Switch
              label={t('sending.useTemplate')}
              checked={template}
              onChange={(e) => setTemplate(e.currentTarget.checked)}
            />
          )}
          {template ? (
            <TemplatePicker query={list} chosen={chosen} choose={setChosen} />
          ) : (
            <>
              <Textarea
                label={t('sending.text')}
                description={t('sending.textHint')}
                value={text}
                onChange={(e) => setText(e.currentTarget.value)}
                autosize
                minRows={2}
                maxRows={8}
                maxLength={1024}
                data-autofocus
              />
              <Preview
                body={text.trim() || t('sending.usual')}
                buttons={[t(what === 'ask' ? 'sending.choose' : 'sending.callNow')]}
              />
            </>
          )}
          {send.isError && <Failure error={send.error} />}
          {send.data && !send.data.sent && <NotSent sent={send.data} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              {t('app.cancel')}
            </Button>
            <Button type="submit" loading={send.isPending} disabled={template && !filledIn}>
              {t('sending.send')}
            </Button>
          </Group>
        </Stack>
      </form>
    </Dialog>
  )
}
