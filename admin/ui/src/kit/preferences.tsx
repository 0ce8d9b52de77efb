import { NativeSelect, type NativeSelectProps, useMantineColorScheme } from '@mantine/core'
import type { Language } from '../i18n/dictionary'
import { useText } from '../i18n/text'

type Props = Omit<NativeSelectProps, 'value' | 'onChange' | 'data' | 'label'>

// Languages are named in themselves.
export const languages = [
  { value: 'en', label: 'English' },
  { value: 'id', label: 'Bahasa Indonesia' },
]

export function LanguageSelect({ chosen, ...props }: Props & { chosen?: (l: Language) => void }) {
  const { t, language, setLanguage } = useText()
  return (
    <NativeSelect
      label={t('language.label')}
      data={languages}
      value={language}
      onChange={(e) => {
        const l = e.currentTarget.value as Language
        setLanguage(l)
        chosen?.(l)
      }}
      {...props}
    />
  )
}

export type Theme = 'light' | 'dark' | 'auto'

export function ThemeSelect({ chosen, ...props }: Props & { chosen?: (t: Theme) => void }) {
  const { t } = useText()
  const { colorScheme, setColorScheme } = useMantineColorScheme()
  return (
    <NativeSelect
      label={t('theme.label')}
      data={(['auto', 'light', 'dark'] as const).map((v) => ({ value: v, label: t(`theme.${v}`) }))}
      value={colorScheme}
      onChange={(e) => {
        const v = e.currentTarget.value as Theme
        setColorScheme(v)
        chosen?.(v)
      }}
      {...props}
    />
  )
}
