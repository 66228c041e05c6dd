"""Data sets: finding them, checking their files, and making RecBole's atomic files from the providers' own."""
