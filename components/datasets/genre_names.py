"""Usual names of genres, to tell folders of genres from other folders."""

from __future__ import annotations

from components.datasets.text import letters

# The 80 genres of ID3v1, the most frequent later ones, and those of FMA and GTZAN. Words that are
# as often other folders' names (Other, Sound Clip, Game, Noise, Live, Club, Dream) are left out.
_NAMES = """
    Blues; Classic Rock; Country; Dance; Disco; Funk; Grunge; Hip-Hop; Hip Hop; Jazz; Metal;
    New Age; Oldies; Pop; R&B; RnB; Rap; Reggae; Rock; Techno; Industrial; Alternative; Ska;
    Death Metal; Soundtrack; Euro-Techno; Ambient; Trip-Hop; Vocal; Jazz+Funk; Fusion; Trance;
    Classical; Instrumental; Acid; House; Gospel; Alternative Rock; Bass; Soul; Punk; Meditative;
    Instrumental Pop; Instrumental Rock; Ethnic; Gothic; Darkwave; Techno-Industrial; Electronic;
    Pop-Folk; Eurodance; Southern Rock; Comedy; Gangsta Rap; Christian Rap; Pop/Funk; Jungle;
    Cabaret; New Wave; Psychedelic; Rave; Showtunes; Lo-Fi; Tribal; Acid Punk; Acid Jazz; Polka;
    Retro; Musical; Rock & Roll; Rock'n'Roll; Hard Rock; Folk; Folk-Rock; Swing; Bebop; Latin;
    Celtic; Bluegrass; Avantgarde; Gothic Rock; Progressive Rock; Psychedelic Rock;
    Symphonic Rock; Slow Rock; Big Band; Chorus; Easy Listening; Acoustic; Opera; Chamber Music;
    Sonata; Symphony; Tango; Samba; Ballad; Drum & Bass; Drum and Bass; Hardcore; Hardcore Techno;
    Indie; Indie Rock; Indie Pop; Britpop; Punk Rock; Heavy Metal; Black Metal; Thrash Metal;
    Salsa; Anime; J-Pop; K-Pop; Synthpop; Dubstep; Dub; Breakbeat; Chillout; Chill; Downtempo;
    EDM; Electro; Electronica; Emo; Experimental; Garage; Grime; IDM; Krautrock; Noise Rock;
    Post-Punk; Post-Rock; Shoegaze; World; World Music; Trap; Bossa Nova; Flamenco; Fado; Schlager;
    Chanson; Afrobeat; Afrobeats; Dancehall; Bollywood; International; Old-Time;
    Old-Time / Historic; Soul-RnB; Spoken; Singer-Songwriter; Americana
"""  # fmt: skip
_KEYS = frozenset(letters(name) for name in _NAMES.split(";"))


def is_genre_name(name: str) -> bool:
    """Return whether a name is a usual one of a genre, in any case, spacing and punctuation."""
    return letters(name) in _KEYS
