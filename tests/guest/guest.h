/* What the tiny guests share: ports, the serial port, words of a command line. */
#ifndef TESTS_GUEST_GUEST_H
#define TESTS_GUEST_GUEST_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

#define UART 0x3f8
#define PM   0x600

#define LAPIC  ((volatile u32 *)0xfee00000)
#define IOAPIC ((volatile u32 *)0xfec00000)

static inline void outb(u16 port, u8 v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline u8 inb(u16 port)
{
	u8 v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline void outl(u16 port, u32 v)
{
	__asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}

static inline u32 inl(u16 port)
{
	u32 v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline u32 get32(const u8 *p)
{
	return *(const u32 *)p;
}

static inline u64 get64(const u8 *p)
{
	return *(const u64 *)p;
}

static inline void put(const char *s)
{
	while (*s)
		outb(UART, (u8)*s++);
}

static inline void put_number(u64 v)
{
	char digits[24];
	int n = sizeof(digits) - 1;

	digits[n] = 0;
	do
		digits[--n] = (char)('0' + v % 10);
	while (v /= 10);
	put(digits + n);
}

__attribute__((noreturn)) static inline void halt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* If the word at s is `word`, or `word` and a value, stores the value. */
static inline int is(const char *s, const char *word, u64 *value)
{
	while (*word && *s == *word)
		s++, word++;
	if (*word)
		return 0;
	*value = 0;
	if (*s == '=')
		for (s++; *s >= '0' && *s <= '9'; s++)
			*value = *value * 10 + (u64)(*s - '0');
	return 1;
}

#endif
