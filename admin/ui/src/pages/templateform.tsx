import {
  Button,
  Group,
  NativeSelect,
  NumberInput,
  SegmentedControl,
  Stack,
  Text,
  Textarea,
  TextInput,
} from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { createTemplate, type NewTemplate } from '../api/desk'
import { useText } from '../i18n/text'
import { Dialog } from '../kit/dialog'
import { useNotify } from '../kit/notify'
import { useOnce } from '../kit/once'
import { Failure } from '../kit/problem'
import { Preview } from '../kit/sending'
import { filled, numbered, places } from '../lib/places'

const nameForm = /^[a-z0-9_]{1,512}$/
const languageForm = /^[a-z]{2,3}([_-][A-Za-z]{2,4})?$/

/** Hands a template of one of the two kinds that calls need to Meta, which judges it by its examples. */
export function TemplateForm({ line, done, close }: { line: string; done: () => void; close: () => void }) {
  const { t, language: mine } = useText()
  const [kind, setKind] = useState<NewTemplate['kind']>('permission')
  const [name, setName] = useState('')
  const [language, setLanguage] = useState<string>(mine)
  const [category, setCategory] = useState<NewTemplate['category']>('UTILITY')
  const [body, setBody] = useState('')
  const [examples, setExamples] = useState<Record<string, string>>({})
  const [footer, setFooter] = useState('')
  const [button, setButton] = useState('')
  const [days, setDays] = useState<number | string>(7)
  const [tried, setTried] = useState(false)
  const once = useOnce()
  const notify = useNotify()
  const holes = places(body)
  const values = holes.map((_, i) => (examples[String(i + 1)] ?? '').trim())
  const wrong = {
    name: nameForm.test(name) ? '' : t('templates.nameForm'),
    language: languageForm.test(language) ? '' : t('templates.languageForm'),
    body: body.trim() === '' ? t('field.required') : numbered(body) ? '' : t('templates.gap'),
    examples: values.includes('') ? t('field.required') : '',
    footer: places(footer).length > 0 ? t('templates.footerPlain') : '',
    button: kind === 'button' && button.trim() === '' ? t('field.required') : '',
  }
  const save = useMutation({
    mutationFn: () => {
      const x: NewTemplate = {
        name,
        language,
        category,
        kind,
        body: body.trim(),
        examples: values,
        footer: footer.trim(),
        button: kind === 'button' ? button.trim() : '',
        ttl_hours: kind === 'button' ? Number(days) * 24 : 0,
      }
      return createTemplate(line, x, once.key(x))
    },
    onSuccess: () => {
      notify(t('templates.created'))
      done()
      close()
    },
  })
  const submit = (e: FormEvent) => {
    e.preventDefault()
    setTried(true)
    if (Object.values(wrong).every((w) => w === '')) save.mutate()
  }
  const error = (field: keyof typeof wrong) => tried && wrong[field]
  return (
    <Dialog title={t('templates.add')} close={close}>
      <form onSubmit={submit} noValidate>
        <Stack>
          <SegmentedControl
            aria-label={t('templates.kind')}
            value={kind}
            onChange={(v) => setKind(v as NewTemplate['kind'])}
            data={(['permission', 'button'] as const).map((k) => ({ value: k, label: t(`templateKind.${k}`) }))}
          />
          <Text size="sm">{t(`templates.${kind}Text`)}</Text>
          <TextInput
            label={t('templates.name')}
            description={t('templates.nameForm')}
            value={name}
            onChange={(e) => setName(e.currentTarget.value)}
            maxLength={512}
            required
            data-autofocus
            error={error('name')}
          />
          <Group grow align="flex-start" preventGrowOverflow={false}>
            <TextInput
              miw="10rem"
              label={t('templates.language')}
              description={t('templates.languageForm')}
              value={language}
              onChange={(e) => setLanguage(e.currentTarget.value)}
              maxLength={16}
              required
              error={error('language')}
            />
            <NativeSelect
              miw="10rem"
              label={t('templates.category')}
              description={t('templates.categoryHint')}
              data={(['UTILITY', 'MARKETING'] as const).map((c) => ({ value: c, label: t(`category.${c}`) }))}
              value={category}
              onChange={(e) => setCategory(e.currentTarget.value as NewTemplate['category'])}
            />
          </Group>
          <Textarea
            label={t('templates.body')}
            description={t('templates.bodyHint')}
            value={body}
            onChange={(e) => setBody(e.currentTarget.value)}
            autosize
            minRows={3}
            maxRows={10}
            maxLength={1024}
            required
            error={error('body')}
          />
          {holes.map((_, i) => {
            const n = String(i + 1)
            return (
              <TextInput
                key={n}
                label={t('templates.example', { n })}
                value={examples[n] ?? ''}
                onChange={(e) => setExamples({ ...examples, [n]: e.currentTarget.value })}
                maxLength={256}
                required
                error={tried && values[i] === '' && t('field.required')}
              />
            )
          })}
          <TextInput
            label={t('templates.footer')}
            value={footer}
            onChange={(e) => setFooter(e.currentTarget.value)}
            maxLength={60}
            error={error('footer')}
          />
          {kind === 'button' && (
            <Group grow align="flex-start" preventGrowOverflow={false}>
              <TextInput
                miw="10rem"
                label={t('templates.button')}
                value={button}
                onChange={(e) => setButton(e.currentTarget.value)}
                maxLength={20}
                required
                error={error('button')}
              />
              <NumberInput
                miw="10rem"
                label={t('templates.days')}
                value={days}
                onChange={setDays}
                min={1}
                max={30}
                clampBehavior="strict"
                allowDecimal={false}
              />
            </Group>
          )}
          <Preview
            body={filled(body, ordered(holes), values)}
            foot={footer}
            buttons={kind === 'permission' ? [t('sending.choose')] : button ? [button] : []}
          />
          {save.isError && <Failure error={save.error} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              {t('app.cancel')}
            </Button>
            <Button type="submit" loading={save.isPending}>
              {t('templates.submit')}
            </Button>
          </Group>
        </Stack>
      </form>
    </Dialog>
  )
}

/** Examples go by the number of the place, wherever it stands in the text. */
function ordered(holes: string[]): string[] {
  return holes.map((_, i) => String(i + 1))
}
