"""Data sets: locating them, checking their files, and converting providers' files to RecBole's atomic files."""
